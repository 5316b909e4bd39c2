"""One episode with coded rounds: who was waited for, who was late, who was not asked."""

import dataclasses

import numpy as np

from edgelearn_env.gradient_coding.dynamics import as_played, uses_code
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages.episode import PlayedEpisode

# Of a device in a fine-tuning round.
ROLES = ("waited for", "not needed", "late", "cannot pay", "not asked")
WAITED_FOR, NOT_NEEDED, LATE, CANNOT_PAY, NOT_ASKED = range(len(ROLES))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CodedEpisode(PlayedEpisode):
    """`PlayedEpisode` of a scenario with codes."""

    scenario: GradientCodingScenario

    @property
    def coded(self) -> np.ndarray:
        """Which rounds used a code, (T,); whatever was decided, no round of pre-training did."""
        uses: np.ndarray = uses_code(self.allocations) & self.states.finetuning[1:]
        return uses

    @property
    def batch(self) -> np.ndarray:
        """Samples of each device's own part, at least one where a code was used, (T, K)."""
        batch: np.ndarray = as_played(self.allocations).batch
        return batch

    @property
    def roles(self) -> np.ndarray:
        """Index into ROLES of every device in every round, (T, K); of no meaning in pre-training rounds."""
        participates, late = self.outcomes.devices.participates, self.outcomes.coded.lateness > 0
        asked = np.where(self.coded[:, None], self.allocations.asked, self.allocations.batch >= 1)
        working = np.where(late, LATE, np.where(self.waited_for, WAITED_FOR, NOT_NEEDED))
        return np.where(participates, working, np.where(asked, CANNOT_PAY, NOT_ASKED))

    @property
    def waited_for(self) -> np.ndarray:
        """Whose work each round waited for, (T, K).

        With a code the first m - s_w devices of the first n - s_e edge nodes, if it was decoded; else all who worked.
        """
        outcomes, participates = self.outcomes, self.outcomes.devices.participates
        in_time = participates & (outcomes.coded.lateness == 0)
        shape = (len(participates), self.scenario.coding.num_edges, self.scenario.devices_per_edge)
        finish_s = np.where(in_time, self.device_finish_s, np.inf).reshape(shape)
        last = self.scenario.devices_per_edge - 1 - self.allocations.device_stragglers[:, None, None]
        enough_s = np.take_along_axis(np.sort(finish_s, axis=-1), np.broadcast_to(last, (*shape[:2], 1)), axis=-1)
        needed = (finish_s <= enough_s) & (outcomes.coded.edge_s > 0)[:, :, None]
        lost_or_plain = ~(self.coded & outcomes.coded.decoded)[:, None]
        return np.asarray(in_time & (needed.reshape(participates.shape) | lost_or_plain))

    @property
    def last_waited_for(self) -> np.ndarray:
        """The device that each round waited for last, (T,): under the edge node that was last, if it was decoded."""
        edge = np.arange(self.scenario.num_devices) // self.scenario.devices_per_edge
        last_edge = np.argmax(self.outcomes.coded.edge_s, axis=-1)[:, None]
        under_it = (edge == last_edge) | ~self.outcomes.coded.decoded[:, None]
        return np.asarray(np.argmax(np.where(self.waited_for & under_it, self.device_finish_s, -1.0), axis=-1))
