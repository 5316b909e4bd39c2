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
from edgelearn_env.baselines.solvers import STRUCTURED
from edgelearn_env.baselines.stages.conic.program import SMALL, EpisodeProgram
from edgelearn_env.baselines.stages.model.cheapest_rounds import (
    COARSE,
    CheapestRounds,
    RoundCosts,
    cheapest_rounds,
    device_parts,
)
from edgelearn_env.baselines.stages.model.closed_forms import (
    cheapest_batch,
    cheapest_compute,
    cheapest_sample,
)
from edgelearn_env.baselines.stages.model.hardware import (
    Hardware,
    device_processors,
    least_dissimilarity,
    server_processor,
    uplinks,
)
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.restriction import Restriction, Stages
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.model.unlike_data import UnlikeData
from edgelearn_env.baselines.stages.model.within_reach import within_reach
from edgelearn_env.baselines.stages.solution import Multipliers
from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.baselines.stages.static.search import Best, best_rounds
from edgelearn_env.stages.bounds import dissimilarity_share
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape

# In units in which budgets, batteries and the bound are of order one: the dearest proves most, if it can be solved for.
_OVERDRAFT_PRICES = (1e4, 1e3)

# Prices of charge harvested before fine-tuning that are tried.
_START_PRICES = 3


class PricedEpisode:
    """A scenario on a tape, priced round by round; an `edgelearn_env.baselines.priced.records.PricedSystem`.

    Its rounds wait for everyone who takes part. A system with other rounds says what hardware they meet, what they cost
    besides, and what a planned episode of them is.
    """

    def __init__(
        self,
        scenario: StagedScenario,
        tape: Tape,
        restriction: Restriction,
        *,
        stages: Stages = "both",
        solver: str = STRUCTURED,
    ) -> None:
        self.scenario, self.tape, self.stages, self.solver = scenario, tape, stages, solver
        # Of the delay budget only the plans' part is cut: bounds are for all of it.
        share = restriction.pretrain_share
        self._server = server_processor(scenario)
        self._devices, uplink = self.hardware()
        least_share = 1.0 if share is None else min(share, 1 - share)
        reachable = within_reach(
            scenario, tape, self._devices, uplink, most_load=self.most_load, least_share=least_share
        )
        self._scenario, self._tape, self._restriction = reachable, tape, restriction
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
        self._uplink = restriction.of_uplink(uplink)
        self._form = scenario.bound.quotient_form(np.arange(len(tape.harvest_w) + 1))
        self._weight = np.broadcast_to(np.asarray(scenario.learning.device_weight), (scenario.num_devices,))

    def hardware(self) -> Hardware:
        """Processors and uplinks of the devices, (K,), or (T, K) where rounds differ."""
        return Hardware(device_processors(self.scenario), uplinks(self.scenario, self.tape.channel_gain))

    @property
    def most_load(self) -> float:
        """Samples that a device computes for each of a batch, at most."""
        return 1.0

    @property
    def sets(self) -> AllowedSets:
        """As `PricedSystem.sets`: nobody may whose battery could not hold what an upload takes, however slow."""
        every = AllowedSets.all_of(*self.setting.harvest_w.shape)
        if self._restriction.everyone:
            return every._replace(must=every.may)
        return every._replace(may=self._uplink.noise_w * self._uplink.nats_s <= self.setting.battery_capacity_j)

    @property
    def has_levels(self) -> bool:
        """As `PricedSystem.has_levels`."""
        return False

    def rounds(self, prices: Prices, phi: float, tolerance: float, sets: AllowedSets) -> PricedRounds:
        """As `PricedSystem.rounds`."""
        radio, second, (silent, _) = self._scenario.radio, prices.second(self.setting), self.battery_terms(prices)
        costs = self.round_costs(prices, phi, sets)
        cheapest = cheapest_rounds(costs, tolerance, self._spread * tolerance, COARSE)
        always = np.sum(silent, axis=1) + prices.energy * radio.downlink_j
        active = cheapest.least + second * radio.downlink_s + always
        idle = np.where(np.any(sets.must, axis=1), np.inf, second * radio.idle_s + always)
        return PricedRounds(np.minimum(active, idle), active, self._plans(costs, cheapest))

    def round_costs(self, prices: Prices, phi: float, sets: AllowedSets) -> RoundCosts:
        """What decides the cost of all rounds of the tape."""
        return RoundCosts(
            second=prices.second(self.setting),
            joule=prices.joule,
            gain=phi * self._form.participation_weight * self._weight + self.battery_terms(prices)[1],
            noise=self._noise,
            dissimilarity=self._form.dissimilarity_weight * least_dissimilarity(self._scenario, sets),
            devices=self._devices,
            uplink=self._uplink,
            longest_s=self.setting.delay_s,
            sets=sets,
            unlike=UnlikeData.of_unequal(self._scenario, self._form.dissimilarity_weight),
        )

    def battery_terms(self, prices: Prices) -> tuple[np.ndarray, np.ndarray]:
        """What batteries' terms come to for those who are silent, and what taking part gives back of them, (T, K)."""
        before, after, capacity_j = prices.carry[:-1], prices.carry[1:], self.setting.battery_capacity_j
        silent = capacity_j * np.minimum(before - after, 0.0)
        return silent, silent - capacity_j * np.minimum(before - after - prices.pay, 0.0)

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
            roles=nobody.astype(int),
        )

    def pretraining(self, prices: Prices, phi: float) -> np.ndarray:
        """As `PricedSystem.pretraining`.

        A joule harvested before round M has a price s <= carry of its own, as a full battery takes no more. With c the
        charge at round M, carry c = s c + (carry - s) c <= s (initial + harvest) + (carry - s) capacity for any such s:
        the best of those tried counts, which are carry, and 0 where batteries fill up.
        """
        setting, num_rounds = self.setting, self.setting.num_rounds
        rounds = np.arange(num_rounds)
        # Round m of M: a price of noise that depends on M - 1 - m, one of time that depends on both.
        played = rounds < np.arange(num_rounds + 1)[:, None]
        noise = self._form.pretrain_weight * self._form.pretrain_decay ** np.maximum(
            np.arange(num_rounds + 1)[:, None] - 1 - rounds, 0
        )
        total, worth = np.full(num_rounds + 1, -np.inf), prices.carry
        for _ in range(_START_PRICES):
            second = prices.pretrain_time - worth @ setting.harvest_w.T
            least = cheapest_compute(noise, second, np.float64(prices.pretrain_energy), self._server)
            held = worth @ setting.battery_initial_j + (prices.carry - worth) @ setting.battery_capacity_j
            total = np.maximum(total, np.sum(least.cost * played, axis=1) - held)
            charge_j = setting.battery_initial_j + (least.seconds * played) @ setting.harvest_w
            latest, worth = worth, np.where(charge_j < setting.battery_capacity_j, prices.carry, 0.0)
            if np.array_equal(latest, worth):
                break
        bounds: np.ndarray = total + self._form.constant - phi * self._form.weight
        return bounds

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

    def planned(self, num_pretrain: int, roles: np.ndarray) -> Planned | None:
        """As `PricedSystem.planned`; `plan` is the episode and its times."""
        episode = self.episode(num_pretrain, roles)
        thrifty = episode.fixed_batches is not None
        recurring = roles.size <= SMALL
        solution = EpisodeProgram(episode, thrifty=thrifty, recurring=recurring).solve(self.solver)
        if solution is None or solution.share > 1:
            return None
        # Where batches are given, so is the bound: it is proven without prices.
        prices = self._along_tape(episode, solution.multipliers)
        return self._planned(episode, solution.times, prices.scaled(0.0) if thrifty else prices)

    def overdrawn(self, num_pretrain: int, roles: np.ndarray) -> Prices | None:
        """As `PricedSystem.overdrawn`."""
        episode = self.episode(num_pretrain, roles)
        recurring = roles.size <= SMALL
        for price in _OVERDRAFT_PRICES:
            solution = EpisodeProgram(episode, overdraft_price=price, recurring=recurring).solve(self.solver)
            if solution is not None:
                return self._along_tape(episode, solution.multipliers)
        return None

    def objective_of(self, phi: float) -> float:
        """What the system's objective is where the learning bound has a value: that value."""
        return phi

    def nothing(self) -> Planned:
        """As `PricedSystem.nothing`."""
        num_devices = self._scenario.num_devices
        return self._planned(self.episode(0, np.zeros((0, num_devices), bool)), RoundTimes.none(num_devices), None)

    def _planned(self, episode: PlannedEpisode, times: RoundTimes, prices: Prices | None) -> Planned:
        """The record of a plan, with what its rounds come to."""
        counts, radio, form = episode.counts, self._scenario.radio, self._form
        devices, count = episode.devices, episode.num_pretrain_rounds
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
        cycles = devices.cycles_per_sample * episode.loads(times.batch)
        compute_j = devices.capacitance_j_s2 * cycles**3 / times.compute_s**2
        upload_j = uplink.noise_w * np.expm1(uplink.nats_s / times.upload_s) * times.upload_s
        noise = np.divide(self._noise, times.batch, where=counts, out=np.zeros(counts.shape))
        omega = counts @ self._weight
        rounds = RoundPlans(
            round_index=count + np.arange(episode.num_finetune_rounds),
            numerator=np.sum(noise, axis=1) + form.dissimilarity_weight * dissimilarity_share(omega),
            weight=form.participation_weight * omega,
            duration_s=np.where(episode.is_idle, radio.idle_s, times.duration_s + radio.downlink_s),
            shared_j=np.full(episode.num_finetune_rounds, radio.downlink_j),
            device_j=np.where(episode.participates, compute_j + upload_j, 0.0),
            roles=episode.roles,
        )
        value = episode.learning_bound(times.server_batch, times.batch)
        return Planned(value, prices, pretraining, rounds, (episode, times))

    def episode(self, num_pretrain: int, roles: np.ndarray) -> PlannedEpisode:
        """M pre-training rounds, and after them one for each row of these roles, (N, K)."""
        return PlannedEpisode(
            scenario=self._scenario,
            tape=self._tape,
            num_pretrain_rounds=num_pretrain,
            num_finetune_rounds=len(roles),
            given_participates=roles > 0,
            restriction=self._restriction,
        )

    def first_guess(self) -> FirstGuess:
        """The static design on the mean channel, with batteries as dear as the energy budget."""
        (best, unit), (num_rounds, num_devices) = self.static_design(), self.setting.harvest_w.shape
        energy, time = unit * best.prices.energy, unit * float(np.sum(best.prices.finish))
        pretrain_time, pretrain_energy = (unit * price for price in best.prices.in_pretraining)
        carry, pay = np.zeros((num_rounds + 1, num_devices)), np.zeros((num_rounds, num_devices))
        carry[:-1] = energy
        prices = Prices(time, energy, pretrain_time, pretrain_energy, carry, pay)
        return FirstGuess(prices, best.value, best.num_pretrain_rounds, best.num_finetune_rounds)

    def static_design(self) -> tuple[Best, float]:
        """The static design, and what a unit of its noise adds to A."""
        best = best_rounds(StaticConstants.of(self._scenario, self._restriction), self.stages)
        return best, self._form.finetune_weight

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

    def _plans(self, costs: RoundCosts, found: CheapestRounds) -> RoundPlans:
        """What devices do in the cheapest rounds, and what these come to."""
        rounds, part = found.round_index, found.participates.astype(float)
        parts = device_parts(costs, rounds, found.finish)
        radio, form = self._scenario.radio, self._form
        weight = part @ self._weight
        dissimilarity = form.dissimilarity_weight * dissimilarity_share(weight)
        return RoundPlans(
            round_index=rounds,
            numerator=np.sum(part * (costs.noise / parts.batch), axis=1) + dissimilarity,
            weight=form.participation_weight * weight,
            duration_s=np.max(part * parts.finish_s, axis=1) + radio.downlink_s,
            shared_j=np.full(len(rounds), radio.downlink_j),
            device_j=part * parts.energy_j,
            roles=found.participates.astype(int),
        )

    @cached_property
    def _noise(self) -> np.ndarray:
        """What 1/b of each device adds to the numerator, (K,)."""
        noise: np.ndarray = self._form.finetune_weight * self._scenario.gradient_noise_weight
        return noise
