"""Two-stage edge learning as the engine of priced rounds sees it."""

from functools import cached_property

import numpy as np

from edgelearn_env.baselines.priced.records import (
    AllowedSets,
    FirstGuess,
    Planned,
    PretrainPlan,
    PricedRounds,
    Prices,
    RoundPlans,
    Setting,
)
from edgelearn_env.baselines.two_stage.conic.program import SMALL, EpisodeProgram, Multipliers
from edgelearn_env.baselines.two_stage.model.cheapest_rounds import RoundCosts, cheapest_rounds, device_costs
from edgelearn_env.baselines.two_stage.model.closed_forms import cheapest_batch, cheapest_compute, cheapest_sample
from edgelearn_env.baselines.two_stage.model.hardware import (
    device_processors,
    least_dissimilarity,
    server_processor,
    uplinks,
)
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.two_stage.model.restriction import Restriction, Stages
from edgelearn_env.baselines.two_stage.model.round_times import RoundTimes
from edgelearn_env.baselines.two_stage.model.within_reach import within_reach
from edgelearn_env.baselines.two_stage.static.rounds import StaticConstants
from edgelearn_env.baselines.two_stage.static.search import best_rounds
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.bounds import dissimilarity_share
from edgelearn_env.two_stage.scenario import TwoStageScenario

# In units in which budgets, batteries and the bound are of order one: the dearest proves most, if it can be solved for.
_OVERDRAFT_PRICES = (1e4, 1e3)


class PricedEpisode:
    """A scenario on a tape, priced round by round; an `edgelearn_env.baselines.priced.records.PricedSystem`."""

    def __init__(
        self,
        scenario: TwoStageScenario,
        tape: Tape,
        restriction: Restriction,
        *,
        stages: Stages = "both",
        solver: str = "clarabel",
    ) -> None:
        # Of the delay budget only the plans' part is cut: bounds are for all of it.
        share = restriction.pretrain_share
        reachable = within_reach(scenario, tape, 1.0 if share is None else min(share, 1 - share))
        self._scenario, self._tape, self._restriction = reachable, tape, restriction
        self._stages, self._solver = stages, solver
        delay_s, energy_j = scenario.budgets.delay_s, reachable.budgets.energy_j
        self.setting = Setting(
            delay_s=delay_s * (1 - (share or 0.0)),
            energy_j=energy_j * (1 - (share or 0.0)),
            pretrain_delay_s=None if share is None else share * delay_s,
            pretrain_energy_j=None if share is None else share * energy_j,
            harvest_w=tape.harvest_w,
            battery_initial_j=np.asarray(reachable.energy.battery_initial_j),
            battery_capacity_j=np.asarray(reachable.energy.battery_capacity_j),
        )
        self._server, self._devices = server_processor(scenario), device_processors(scenario)
        self._uplink = restriction.of_uplink(uplinks(scenario, tape.channel_gain))
        self._form = scenario.bound.quotient_form(np.arange(len(tape.harvest_w) + 1))
        self._weight = np.broadcast_to(np.asarray(scenario.learning.device_weight), (scenario.num_devices,))

    @property
    def sets(self) -> AllowedSets:
        """As `PricedSystem.sets`."""
        every = AllowedSets.all_of(*self.setting.harvest_w.shape)
        return every._replace(must=every.may) if self._restriction.everyone else every

    def rounds(self, prices: Prices, phi: float, tolerance: float, sets: AllowedSets) -> PricedRounds:
        """As `PricedSystem.rounds`."""
        setting, radio = self.setting, self._scenario.radio
        before, after, capacity_j = prices.carry[:-1], prices.carry[1:], setting.battery_capacity_j
        second = prices.second(setting)
        # What the batteries' terms come to for those who are silent, and what taking part gives back of them.
        silent = capacity_j * np.minimum(before - after, 0.0)
        released = silent - capacity_j * np.minimum(before - after - prices.pay, 0.0)
        costs = RoundCosts(
            second=second,
            joule=prices.joule,
            gain=phi * self._form.participation_weight * self._weight + released,
            noise=self._noise,
            dissimilarity=self._form.dissimilarity_weight * least_dissimilarity(self._scenario, sets),
            devices=self._devices,
            uplink=self._uplink,
            longest_s=setting.delay_s,
            sets=sets,
        )
        cheapest = cheapest_rounds(costs, tolerance, self._spread * tolerance)
        always = np.sum(silent, axis=1) + prices.energy * radio.downlink_j
        active = cheapest.least + second * radio.downlink_s + always
        idle = np.where(np.any(sets.must, axis=1), np.inf, second * radio.idle_s + always)
        plans = self._plans(costs, cheapest.round_index, cheapest.finish, cheapest.participates)
        return PricedRounds(np.minimum(active, idle), active, plans)

    # Plans within so many tolerances of the least cost of their round are told.
    _spread = 50.0

    def idle_rounds(self) -> RoundPlans:
        """As `PricedSystem.idle_rounds`."""
        num_rounds, num_devices = self.setting.harvest_w.shape
        rounds = np.arange(0 if self._restriction.everyone else num_rounds)
        nothing, nobody = np.zeros(len(rounds)), np.zeros((len(rounds), num_devices))
        radio = self._scenario.radio
        return RoundPlans(
            round_index=rounds,
            numerator=nothing,
            weight=nothing,
            duration_s=nothing + radio.idle_s,
            shared_j=nothing + radio.downlink_j,
            device_j=nobody,
            participates=nobody > 0,
        )

    def pretraining(self, prices: Prices, phi: float) -> np.ndarray:
        """As `PricedSystem.pretraining`."""
        num_rounds = self.setting.num_rounds
        rounds = np.arange(num_rounds)
        second = prices.pretrain_time - prices.carry @ self.setting.harvest_w.T
        # Round m of M: a price of noise that depends on M - 1 - m, one of time that depends on both.
        played = rounds < np.arange(num_rounds + 1)[:, None]
        noise = self._form.pretrain_weight * self._form.pretrain_decay ** np.maximum(
            np.arange(num_rounds + 1)[:, None] - 1 - rounds, 0
        )
        cost = cheapest_compute(noise, second, np.float64(prices.pretrain_energy), self._server).cost
        total: np.ndarray = self._form.constant - phi * self._form.weight + np.sum(cost * played, axis=1)
        return total

    def pretraining_alone(self, phi: float) -> np.ndarray:
        """As `PricedSystem.pretraining_alone`: the denominator's floor."""
        alone: np.ndarray = -phi * (self._form.total_weight(0.0) - self._form.weight)
        return alone

    def pretraining_plan(self, prices: Prices, num_rounds: int) -> PretrainPlan:
        """As `PricedSystem.pretraining_plan`."""
        harvest_w = self.setting.harvest_w[:num_rounds]
        second = prices.pretrain_time - harvest_w @ prices.carry[num_rounds]
        noise = self._form.pretrain_weight * self._form.pretrain_decay ** np.arange(num_rounds)[::-1]
        sample = cheapest_sample(second, np.float64(prices.pretrain_energy), self._server)
        seconds = cheapest_batch(noise, sample, self._server.batch_max).seconds
        batch = seconds / sample.seconds
        freq_hz = self._server.cycles_per_sample / sample.seconds
        joules = self._server.capacitance_j_s2 * self._server.cycles_per_sample * freq_hz**2 * batch
        return PretrainPlan(
            numerator=float(self._form.constant[num_rounds] + np.sum(noise / batch)),
            weight=float(self._form.weight[num_rounds]),
            duration_s=float(np.sum(seconds)),
            energy_j=float(np.sum(joules)),
            harvested_j=seconds @ harvest_w,
        )

    def planned(self, num_pretrain: int, participates: np.ndarray) -> Planned | None:
        """As `PricedSystem.planned`; `plan` is the episode and its times."""
        episode = self.episode(num_pretrain, participates)
        thrifty = episode.fixed_batches is not None
        recurring = participates.size <= SMALL
        solution = EpisodeProgram(episode, thrifty=thrifty, recurring=recurring).solve(self._solver)
        if solution is None or solution.share > 1:
            return None
        # Where batches are given, so is the bound: it is proven without prices.
        prices = self._along_tape(episode, solution.multipliers)
        return self._planned(episode, solution.times, prices.scaled(0.0) if thrifty else prices)

    def overdrawn(self, num_pretrain: int, participates: np.ndarray) -> Prices | None:
        """As `PricedSystem.overdrawn`."""
        episode = self.episode(num_pretrain, participates)
        recurring = participates.size <= SMALL
        for price in _OVERDRAFT_PRICES:
            solution = EpisodeProgram(episode, overdraft_price=price, recurring=recurring).solve(self._solver)
            if solution is not None:
                return self._along_tape(episode, solution.multipliers)
        return None

    def nothing(self) -> Planned:
        """As `PricedSystem.nothing`."""
        num_devices = self._scenario.num_devices
        return self._planned(self.episode(0, np.zeros((0, num_devices), bool)), RoundTimes.none(num_devices), None)

    def _planned(self, episode: PlannedEpisode, times: RoundTimes, prices: Prices | None) -> Planned:
        """The record of a plan, with what its rounds come to."""
        part, radio, form = episode.participates, self._scenario.radio, self._form
        cycles, count = self._devices.cycles_per_sample, episode.num_pretrain_rounds
        server_cycles = self._server.cycles_per_sample * times.server_batch
        server_j = self._server.capacitance_j_s2 * server_cycles**3 / times.server_s**2
        weight = form.pretrain_decay ** np.arange(count)[::-1]
        pretraining = PretrainPlan(
            numerator=float(form.constant[count] + form.pretrain_weight * np.sum(weight / times.server_batch)),
            weight=float(form.weight[count]),
            duration_s=float(np.sum(times.server_s)),
            energy_j=float(np.sum(server_j)),
            harvested_j=times.server_s @ episode.pretrain_harvest_w,
        )
        uplink = episode.uplink
        compute_j = self._devices.capacitance_j_s2 * (cycles * times.batch) ** 3 / times.compute_s**2
        upload_j = uplink.noise_w * np.expm1(uplink.nats_s / times.upload_s) * times.upload_s
        noise = np.divide(self._noise, times.batch, where=part, out=np.zeros(part.shape))
        omega = part @ self._weight
        rounds = RoundPlans(
            round_index=count + np.arange(episode.num_finetune_rounds),
            numerator=np.sum(noise, axis=1) + form.dissimilarity_weight * dissimilarity_share(omega),
            weight=form.participation_weight * omega,
            duration_s=np.where(episode.is_idle, radio.idle_s, times.duration_s + radio.downlink_s),
            shared_j=np.full(episode.num_finetune_rounds, radio.downlink_j),
            device_j=np.where(part, compute_j + upload_j, 0.0),
            participates=part,
        )
        value = episode.learning_bound(times.server_batch, times.batch)
        return Planned(value, prices, pretraining, rounds, (episode, times))

    def episode(self, num_pretrain: int, participates: np.ndarray) -> PlannedEpisode:
        """M pre-training rounds, and after them one of each of these sets, (N, K)."""
        return PlannedEpisode(
            scenario=self._scenario,
            tape=self._tape,
            num_pretrain_rounds=num_pretrain,
            num_finetune_rounds=len(participates),
            given_participates=participates,
            restriction=self._restriction,
        )

    def first_guess(self) -> FirstGuess:
        """The static design on the mean channel, with batteries as dear as the energy budget."""
        best = best_rounds(StaticConstants.of(self._scenario, self._restriction), self._stages)
        unit, (num_rounds, num_devices) = self._form.finetune_weight, self.setting.harvest_w.shape
        energy, time = unit * best.prices.energy, unit * float(np.sum(best.prices.finish))
        pretrain_time, pretrain_energy = (unit * price for price in best.prices.in_pretraining)
        carry, pay = np.zeros((num_rounds + 1, num_devices)), np.zeros((num_rounds, num_devices))
        carry[:-1] = energy
        prices = Prices(time, energy, pretrain_time, pretrain_energy, carry, pay)
        return FirstGuess(prices, best.value, best.num_pretrain_rounds, best.num_finetune_rounds)

    @property
    def round_weight(self) -> float:
        """As `PricedSystem.round_weight`."""
        return float(self._form.participation_weight)

    def _along_tape(self, episode: PlannedEpisode, multipliers: Multipliers) -> Prices:
        """The program's multipliers by round of the tape; before its first round a joule is worth what it is there."""
        unit = episode.total_weight
        first, last = episode.num_pretrain_rounds, episode.num_pretrain_rounds + episode.num_finetune_rounds
        carry = np.zeros((len(self.setting.harvest_w) + 1, episode.scenario.num_devices))
        pay = np.zeros_like(self.setting.harvest_w)
        if last > first:
            carry[first:last], pay[first:last] = multipliers.carry, multipliers.pay
            carry[:first] = carry[first]
        own = self.setting.has_own_budgets
        time, energy = (max(price, 0.0) * unit for price in multipliers[:2])
        return Prices(
            time=time,
            energy=energy,
            pretrain_time=max(multipliers.pretrain_time, 0.0) * unit if own else time,
            pretrain_energy=max(multipliers.pretrain_energy, 0.0) * unit if own else energy,
            carry=np.maximum(carry, 0.0) * unit,
            pay=np.maximum(pay, 0.0) * unit,
        )

    def _plans(self, costs: RoundCosts, rounds: np.ndarray, finish: np.ndarray, participates: np.ndarray) -> RoundPlans:
        """What devices do at those finish prices, and what their rounds come to."""
        joule, part = costs.joule[rounds], participates.astype(float)
        sample = cheapest_sample(finish, joule, self._devices)
        batch = cheapest_batch(costs.noise, sample, self._devices.batch_max).seconds / sample.seconds
        least = device_costs(costs, rounds, finish)
        noise = costs.noise / batch
        # C = noise + joule e + finish (t + u).
        device_j = (least.cost - noise - finish * least.seconds) / joule
        radio, form = self._scenario.radio, self._form
        weight = part @ self._weight
        dissimilarity = form.dissimilarity_weight * dissimilarity_share(weight)
        return RoundPlans(
            round_index=rounds,
            numerator=np.sum(part * noise, axis=1) + dissimilarity,
            weight=form.participation_weight * weight,
            duration_s=np.max(part * least.seconds, axis=1) + radio.downlink_s,
            shared_j=np.full(len(rounds), radio.downlink_j),
            device_j=part * device_j,
            participates=participates,
        )

    @cached_property
    def _noise(self) -> np.ndarray:
        """What 1/b of each device adds to the numerator, (K,)."""
        noise: np.ndarray = self._form.finetune_weight * self._scenario.gradient_noise_weight
        return noise
