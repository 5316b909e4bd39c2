"""Layer tuning with one net as the engine of priced rounds sees it."""

from functools import cached_property

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.layer_episode import LayerEpisode
from edgelearn_env.baselines.layer_tuning.model.level_hardware import hardware_at, hardware_of_all_levels
from edgelearn_env.baselines.layer_tuning.model.roomy_design import roomy_design
from edgelearn_env.baselines.priced.records import AllowedSets, Planned, Prices, RoundPlans
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.model.cheapest_rounds import CheapestRounds, RoundCosts, at_levels, device_parts
from edgelearn_env.baselines.stages.model.hardware import Hardware, least_dissimilarity
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Stages
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.baselines.stages.static.search import Best, best_rounds
from edgelearn_env.layer_tuning.levels import Levels
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.tapes.tape import Tape


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
        solver: str = "clarabel",
    ) -> None:
        self.place, self.depth = place, int(np.asarray(scenario.networks.depths)[place])
        super().__init__(scenario, tape, UNRESTRICTED, stages=stages, solver=solver)
        self._form = scenario.bound_of(place).quotient_form(np.arange(len(tape.harvest_w) + 1))

    def hardware(self) -> Hardware:
        """What computes and uploads the most, the whole net."""
        whole = hardware_at(self.scenario, self._table, self.place, self.depth - 1, self.tape.channel_gain)
        devices = whole.devices._replace(batch_max=np.asarray(self.scenario.devices.batch_max))
        return Hardware(devices, whole.uplink)

    @property
    def sets(self) -> AllowedSets:
        """Who has the memory for anything."""
        every = AllowedSets.all_of(*self.setting.harvest_w.shape)
        return every._replace(may=every.may & np.any(self._fits, axis=0))

    @property
    def has_levels(self) -> bool:
        """As `PricedSystem.has_levels`: roles are numbers of blocks."""
        return True

    def round_costs(self, prices: Prices, phi: float, sets: AllowedSets) -> RoundCosts:
        """What decides the cost of all rounds of the tape, with levels."""
        share, released = self._table.share[self.place, : self.depth], self.battery_terms(prices)[1]
        worth = phi * self._form.participation_weight * share[:, None] * self._weight
        blocks, shape = np.arange(1, self.depth + 1)[:, None], sets.may.shape
        low, high = (np.broadcast_to(end, shape)[:, None, :] for end in (sets.lowest, sets.highest))
        possible = self._fits & (blocks >= low) & (blocks <= high)
        gain = np.where(possible, worth + released[:, None, :], -np.inf)
        unlike = self._form.dissimilarity_weight * share[0]
        return RoundCosts(
            second=prices.second(self.setting),
            joule=np.tile(prices.joule, (1, self.depth)),
            gain=gain.reshape(len(gain), -1),
            noise=self._noise_of_levels,
            # Of a round's unlike data what counts in the last block, which everybody trains.
            dissimilarity=unlike * least_dissimilarity(self._scenario, sets),
            devices=self._every_level.devices,
            uplink=self._every_level.uplink,
            longest_s=self.setting.delay_s,
            sets=sets,
            num_levels=self.depth,
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
        blocks = max(int(np.median(np.sum(self._fits, axis=0))), 1)
        design = roomy_design(self._scenario, self.depth, blocks)
        theirs, ours = design.bound.quotient_form(0), self._form
        # Their weight is counted without the share of the blocks.
        ratio = self._table.share[self.place, blocks - 1] * ours.participation_weight / theirs.participation_weight
        return best_rounds(StaticConstants.of(design), self.stages), float(theirs.finetune_weight * ratio)

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
    def _table(self) -> Levels:
        """What levels take and count."""
        return self.scenario.levels

    @cached_property
    def _fits(self) -> np.ndarray:
        """Which levels each device has the memory for, (l, K)."""
        fits: np.ndarray = self._table.most_batch[self.place, : self.depth] >= 1
        return fits

    @cached_property
    def _every_level(self) -> Hardware:
        """Processors, (l K,), and uplinks, (T, l K)."""
        return hardware_of_all_levels(self._scenario, self._table, self.place, self.tape.channel_gain)

    @cached_property
    def _noise_of_levels(self) -> np.ndarray:
        """What 1/b of each device at each level adds to the numerator, (l K,)."""
        variance = self._table.gradient_variance[self.place, : self.depth]
        noise: np.ndarray = self._form.finetune_weight * self.scenario.learning.device_weight**2 * variance
        return noise.ravel()
