"""Many episodes at once as torch tensors: on a CPU or a GPU, and differentiable in what is decided."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from edgelearn_env.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch is not installed: pip install 'edgelearn-env[agents]'") from error

from gymnasium.error import ResetNeeded

from edgelearn_env.arrays import torch_names
from edgelearn_env.arrays.kept_memory import keep_freed_memory
from edgelearn_env.arrays.records import mapped
from edgelearn_env.envs import arguments
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.tapes.tensor_reader import TensorTapes
from edgelearn_env.trajectory import Observed
from edgelearn_env.two_stage.dynamics import Allocation, Outcome, State, constants_of, initial_state, step
from edgelearn_env.two_stage.encoding import Codec


class PlayedRound(NamedTuple):
    """The round that a step has played in each of B episodes.

    Attributes:
        state: after it; where an episode has ended, its last one.
        allocation: what was decided.
        outcome: what it did.
    """

    state: State
    allocation: Allocation
    outcome: Outcome


class TwoStageTorch:
    """Many `TwoStageEnv` as float64 tensors on one device; each plays what a single one would, to rounding.

    Environment i of one reset with `seed=s` is a `TwoStageEnv` reset with `seed=s + i`. Where an episode ends, the next
    one begins in the same step, as in `TwoStageVectorEnv` with autoreset mode `SAME_STEP`. A step asks nothing of the
    device that the host would have to wait for: what differs between episodes is chosen element by element, and an
    action with an entry that is not a number is not refused but ends its episode.

    **Gradients** flow from everything that `step` and `play` return to the actions of this and of earlier rounds:

    * *Batch sizes* are rounded, but their derivatives are those of batches that are not: straight through. `play`
      takes fractional batches as they are.
    * *Ends of an action*: beyond -1 and 1 the derivative is 0, at them it is the one from within.
    * *The switch, and what ends an episode* (budgets, batteries, the last round) are steps, with derivative 0. So the
      gradient is that of an episode whose numbers of rounds stay as they are: it says nothing of a round more that
      thriftier ones before it would leave room for. The bound itself then depends on the batch sizes alone; what
      frequencies and powers do shows in `state.elapsed_s`, `state.spent_j` and `state.battery_j`, to be priced.
    * *A round that is not counted*, and whatever lies before the beginning of an episode, has derivative 0.
    * *Where several devices finish last at once*, each has an equal share of the derivative of the duration.
    * *Infinities*, of a device that waits forever or has no channel, stay within a round that is not counted; no
      gradient is infinite or not a number.

    As long as an action needs a gradient, each step is remembered for it: call `detach` to forget.

    Speed on a GPU has not been measured.

    Args:
        num_envs: B.
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`.
        device: where the tensors are; anything `torch.device` takes. It must know float64.
        autoreset: whether the next episode begins where one ends. If not, that one stays as it is, with reward 0.
        **changes: scenario parts with their changed fields.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: arguments.ScenarioSource = "default",
        objective: str | None = None,
        *,
        device: torch.device | str = "cpu",
        autoreset: bool = True,
        **changes: Any,
    ) -> None:
        keep_freed_memory()
        self.num_envs = arguments.checked_num_envs(num_envs)
        self.device, self.autoreset = torch.device(device), autoreset
        self.scenario: Scenario = arguments.configured_scenario(scenario, objective, changes)
        self.codec = Codec.of(self.scenario, torch_names, device=self.device)
        self._constants = constants_of(self.scenario, torch_names, device=self.device)
        self._tapes = TensorTapes(self.scenario, self.num_envs, self.device)
        self._beginning = initial_state(self._constants, 1)
        self._state: State | None = None

    @property
    def observed(self) -> Observed:
        """What is known before the next round, in physical units."""
        return mapped(torch.clone, Observed(self._running(), self._tapes.conditions))

    @property
    def tape_seed(self) -> torch.Tensor:
        """First argument of `sample_tape` for the tapes that are played now, (B,); -1 for a tape of your own."""
        return self._tapes.seed

    @property
    def tape_episode(self) -> torch.Tensor:
        """Its second argument, likewise."""
        return self._tapes.episode

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, tape: Tape | None = None
    ) -> tuple[torch.Tensor, Observed]:
        """Begin the next episode in all environments.

        Args:
            seed: of the first environment, which the others count up from; or a list of all; None goes on with each
                sequence of tapes.
            tape: one for all environments, or a batch with one each, in place of those of the seeds. It lasts one
                episode; an autoreset goes back to the seed's sequence.

        Returns:
            The observation, (B, 5 + 3 K), and what it was made of.

        Raises:
            InvalidInputError: a wrong seed, or a tape that does not fit.
        """
        seeds = arguments.checked_seeds(seed, self.num_envs)
        tape = arguments.checked_tape(tape, self.scenario, self.num_envs)
        self._tapes.name_sequences(seeds)
        self._tapes.begin(tape)
        self._state = initial_state(self._constants, self.num_envs)
        return self._observation(), self.observed

    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, PlayedRound]:
        """Do one learning round in every environment.

        Args:
            action: as in `TwoStageEnv`, of any floating-point type, (B, 3 + 3 K).

        Returns:
            Observation before the next round, float32, (B, 5 + 3 K); reward, float64, terminated and truncated, (B,);
            and the round itself.

        Raises:
            InvalidInputError: an action of the wrong shape.
            ResetNeeded: there is no episode.
        """
        shape = (self.num_envs, self.codec.action_size)
        if action.shape != shape:
            raise InvalidInputError(f"action must have shape {shape}, got {tuple(action.shape)}")
        # Device by device in memory, as everything else is.
        action = action.T.contiguous().T
        if torch.is_grad_enabled() and action.requires_grad:
            return self.play(straight_through(self.codec, action))
        return self.play(self.codec.decode(action))

    def play(
        self, allocation: Allocation
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, PlayedRound]:
        """Do one learning round that is decided in physical units, float64, within the scenario's limits."""
        state, outcome = step(self._constants, self._running(), self._tapes.conditions, allocation)
        played = PlayedRound(mapped(torch.clone, state), allocation, outcome)
        self._state = _chosen(state.ended, self._beginning, state) if self.autoreset else state
        self._tapes.advance(self._state.round_index, state.ended, begin_next=self.autoreset)
        truncated = torch.zeros_like(state.ended)
        return self._observation(), outcome.reward.clone(), state.ended.clone(), truncated, played

    def detach(self) -> None:
        """Forget how the present came about: no gradient flows to actions before it."""
        self._state = mapped(torch.detach, self._running())

    def _observation(self) -> torch.Tensor:
        return self.codec.encode(self._running(), self._tapes.conditions)

    def _running(self) -> State:
        if self._state is None:
            raise ResetNeeded("there is no episode yet: call reset() first")
        return self._state


def straight_through(codec: Codec, action: torch.Tensor) -> Allocation:
    """What an action names, with the derivatives of what it would without rounding, a hair within its ends."""
    decided = codec.decode(action.detach())
    # In float32 there is no such hair.
    smooth = codec.fractional(action.to(torch.float64).clamp(-1.0, 1.0) * _WITHIN)
    # These differences and sums are exact: each pair is within a factor of two.
    values = [way + (value - way).detach() for way, value in zip(smooth[1:], decided[1:], strict=True)]
    return Allocation(decided.switch, *values)


_WITHIN = 1 - 1e-9


def _chosen(mask: torch.Tensor, first: State, second: State) -> State:
    """Row by row from one of two states; the first may have a single row for all."""

    def choose(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.where(mask[:, None] if other.ndim == 2 else mask, one, other)

    return mapped(choose, first, second)
