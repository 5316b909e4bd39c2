"""The rest of an episode with given rounds, codes and devices, as data that the conic program reads."""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from edgelearn_env.baselines.gradient_coding.model.choices import holders_of
from edgelearn_env.baselines.gradient_coding.model.hardware import repeated_uplinks, slowed_processors
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.gradient_coding import records as coded
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages.records import Allocation


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CodedPlan(Plan):
    """What to do in every round of an episode with codes, whatever happens."""

    record: ClassVar = coded.Allocation


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodedEpisode(PlannedEpisode):
    """A planned episode whose rounds may have codes.

    Attributes:
        scenario: the system.
        given_roles: what each device does in each fine-tuning round, (N, K): 0 silent, 1 + the code's place among
            `scenario.codes` one that takes part with it.
    """

    scenario: GradientCodingScenario
    given_roles: np.ndarray

    @property
    def roles(self) -> np.ndarray:
        """As `given_roles`."""
        return self.given_roles

    @cached_property
    def participates(self) -> np.ndarray:
        """Which devices work in each fine-tuning round, (N, K)."""
        participates: np.ndarray = self.given_roles > 0
        return participates

    @cached_property
    def code(self) -> np.ndarray:
        """Place of each round's code among `scenario.codes`, 0 without one, (N,)."""
        code: np.ndarray = np.maximum(np.max(self.given_roles, axis=1, initial=0) - 1, 0)
        return code

    @cached_property
    def counts(self) -> np.ndarray:
        """Whose data each round counts: of those who take part, or of all with a code, (N, K)."""
        counts: np.ndarray = self.participates | (self.code > 0)[:, None]
        return counts

    @cached_property
    def holders(self) -> np.ndarray | None:
        """Which parts each device computes, (N, K, K); its own alone in an episode without codes."""
        if not self.code.any():
            return None
        held: np.ndarray = np.stack([holders_of(self.scenario, code) for code in self.scenario.codes])[self.code]
        return held

    @cached_property
    def devices(self) -> Processor:
        """As slow as they are in each round, (N, K)."""
        return slowed_processors(self.scenario, self._hidden)

    @cached_property
    def uplink(self) -> Uplink:
        """With all tries of each round, (N, K)."""
        gain = self.tape.channel_gain[self.num_pretrain_rounds :][: self.num_finetune_rounds]
        return self.restriction.of_uplink(repeated_uplinks(self.scenario, gain, self._hidden))

    @property
    def _hidden(self) -> Hidden:
        """Of the fine-tuning rounds."""
        rounds = slice(self.num_pretrain_rounds, self.num_pretrain_rounds + self.num_finetune_rounds)
        return Hidden(*(array[rounds] for array in self.tape.hidden))

    def as_plan(self, rows: Allocation) -> CodedPlan:
        """The plan that decides this in each round, with its code and those who work asked."""
        before, after = np.zeros((self.num_pretrain_rounds, 1)), np.zeros((1, 1))
        code = np.concatenate([before[:, 0], self.code, after[0]]).astype(int)
        num_devices = self.scenario.num_devices
        stragglers = np.array(self.scenario.codes)[code]
        asked = np.concatenate([np.ones((len(before), num_devices)), self.participates, np.ones((1, num_devices))])
        return CodedPlan(
            allocations=coded.Allocation(
                **rows._asdict(),
                edge_stragglers=stragglers[:, 0],
                device_stragglers=stragglers[:, 1],
                asked=asked > 0,
            ),
            num_pretrain_rounds=self.num_pretrain_rounds,
            num_finetune_rounds=self.num_finetune_rounds,
        )
