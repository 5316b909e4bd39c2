"""Layer tuning with one net as the engine of priced rounds sees it."""

from functools import cached_property

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.layer_episode import LayerEpisode
from edgelearn_env.baselines.layer_tuning.model.net_levels import NetLevels
from edgelearn_env.baselines.layer_tuning.model.roomy_design import typical_design
from edgelearn_env.baselines.priced.records import AllowedSets, Planned, PricedRounds, Prices, RoundPlans
from edgelearn_env.baselines.solvers import STRUCTURED
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.model.cheapest_rounds import CheapestRounds, RoundCosts, at_levels, device_parts
from edgelearn_env.baselines.stages.model.hardware import Hardware
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Stages
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.static.search import Best
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.tapes.tape import Tape

# More than A - phi W can fall by in all other rounds, in units of phi.
_RULES_OUT = 1e6


class PricedLayers(PricedEpisode):
    """A scenario on a tape with one of its nets, priced round by round.

    A round is one as in `PricedEpisode`, in which each device takes part at the level that costs least: the envelope
    over levels takes the place of one cost. Its role is how many blocks it trains.
    """

    scenario: LayerTuningScenario
    _scenario: LayerTuningScenario

    def __init__(
        self,
        scenario: LayerTuningScenario,
        tape: Tape,
        place: int,
        *,
        stages: Stages = "both",
        solver: str = STRUCTURED,
    ) -> None:
        self.place, self._net = place, NetLevels(scenario=scenario, place=place)
        super().__init__(scenario, tape, UNRESTRICTED, stages=stages, solver=solver)
        self._form = scenario.bound_of(place).quotient_form(np.arange(len(tape.harvest_w) + 1))

    def hardware(self) -> Hardware:
        """What computes and uploads the most, the whole net."""
        whole = self._net.hardware_at(self._net.depth - 1, self.tape.channel_gain)
        devices = whole.devices._replace(batch_max=np.asarray(self.scenario.devices.batch_max))
        return Hardware(devices, whole.uplink)

    @property
    def sets(self) -> AllowedSets:
        """Who has the memory for anything."""
        return self._net.sets(self.setting.num_rounds)

    @property
    def has_levels(self) -> bool:
        """As `PricedSystem.has_levels`: roles are numbers of blocks."""
        return True

    def rounds(self, prices: Prices, phi: float, tolerance: float, sets: AllowedSets) -> PricedRounds:
        """As `PricedSystem.rounds`; a round is ruled out where a device that must take part is left no level.

        By a finite cost, so that sums over the tape can be told apart again.
        """
        found = super().rounds(prices, phi, tolerance, sets)
        return found._replace(least=np.minimum(found.least, _RULES_OUT * phi))

    def round_costs(self, prices: Prices, phi: float, sets: AllowedSets) -> RoundCosts:
        """What decides the cost of all rounds of the tape, with levels."""
        return self._net.round_costs(
            second=prices.second(self.setting),
            joule=prices.joule,
            gain=self._net.gain(phi * self._form.participation_weight),
            noise=self._form.finetune_weight,
            dissimilarity=self._form.dissimilarity_weight,
            hardware=self._every_level,
            longest_s=self.setting.delay_s,
            sets=sets,
            released=self.battery_terms(prices)[1],
        )

    def episode(self, num_pretrain: int, roles: np.ndarray) -> LayerEpisode:
        """M pre-training rounds, and after them one for each row of these roles, (N, K)."""
        return LayerEpisode(
            scenario=self._scenario,
            tape=self._tape,
            num_pretrain_rounds=num_pretrain,
            num_finetune_rounds=len(roles),
            place=self.place,
            given_roles=roles,
        )

    def objective_of(self, phi: float) -> float:
        """J = floor_l + Phi / (2 mu)."""
        floor = float(np.asarray(self.scenario.networks.floor)[self.place])
        return floor + phi / (2 * self.scenario.learning.pl_constant)

    def static_design(self) -> tuple[Best, float]:
        """That of the two-stage scenario in which everyone trains as much as half of the devices can."""
        return typical_design(NetLevels(scenario=self._scenario, place=self.place), self.stages)

    def _planned(self, episode: PlannedEpisode, times: RoundTimes, prices: Prices | None) -> Planned:
        """The record of a plan, with what its rounds come to at their levels."""
        planned, form = super()._planned(episode, times, prices), self._form
        assert isinstance(episode, LayerEpisode)
        noise = np.divide(episode.noise_weight, times.batch, where=episode.counts, out=np.zeros(episode.counts.shape))
        numerator = form.finetune_weight * np.sum(noise, axis=1) + form.dissimilarity_weight * episode.dissimilarity
        weight = form.participation_weight * episode.weight
        return planned._replace(rounds=planned.rounds._replace(numerator=numerator, weight=weight))

    def _plans(self, costs: RoundCosts, found: CheapestRounds) -> RoundPlans:
        """What devices do in the cheapest rounds, and what these come to."""
        rounds, part = found.round_index, found.participates
        at, every = at_levels(costs, rounds, found.level), np.arange(len(rounds))
        column = found.level * part.shape[1] + np.arange(part.shape[1])
        parts = device_parts(at, every, np.take_along_axis(found.finish, column, axis=1))
        roles = part * (1 + found.level)
        episode, radio, form = self.episode(0, roles), self._scenario.radio, self._form
        noise = np.where(part, at.noise / parts.batch, 0.0)
        return RoundPlans(
            round_index=rounds,
            numerator=np.sum(noise, axis=1) + form.dissimilarity_weight * episode.dissimilarity,
            weight=form.participation_weight * episode.weight,
            duration_s=np.max(part * parts.finish_s, axis=1, initial=0.0) + radio.downlink_s,
            shared_j=np.full(len(rounds), radio.downlink_j),
            device_j=part * parts.energy_j,
            roles=roles,
        )

    @cached_property
    def _every_level(self) -> Hardware:
        """Processors, (l K,), and uplinks, (T, l K)."""
        return self._net.hardware(self.tape.channel_gain)
