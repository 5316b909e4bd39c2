"""Many episodes at once as torch tensors, of any system: on a CPU or a GPU, and differentiable in what is decided."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from edgelearn_env.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch is not installed: pip install 'edgelearn-env[agents]'") from error

from gymnasium.error import ResetNeeded

from edgelearn_env.arrays import torch_names
from edgelearn_env.arrays.fused import Fused
from edgelearn_env.arrays.kept_memory import keep_freed_memory
from edgelearn_env.arrays.records import mapped
from edgelearn_env.envs import arguments
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.model import Allocation, Codec, Model, Observed, Outcome, State, model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.tapes.tensor_reader import Reading, TensorTapes, advanced


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


Result: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, PlayedRound]

# Of where all episodes and their tapes stand, and what is decided: where they stand next, and what a step returns.
Play: TypeAlias = Callable[[State, Reading, Any], tuple[State, Reading, Result]]


class TensorEnv:
    """Many `SingleEnv` as float64 tensors on one device; each plays what a single one would, to rounding.

    Environment i of one reset with `seed=s` is a single one reset with `seed=s + i`. Where an episode ends, the next
    one begins in the same step, as in the vector environment with autoreset mode `SAME_STEP`. A step asks nothing of
    the device that the host would have to wait for: what differs between episodes is chosen element by element, and an
    action with an entry that is not a number is not refused but ends its episode.

    Gradients flow from everything that `step` and `play_round` return to the actions of this and of earlier rounds; a
    system's own class says which. As long as an action needs a gradient, each step is remembered for it: call `detach`
    to forget.

    Args:
        num_envs: B.
        scenario: of any system.
        device: where the tensors are; anything `torch.device` takes. It must know float64.
        autoreset: whether the next episode begins where one ends. If not, that one stays as it is, with reward 0.
        compiled: whether `torch.compile` fuses the operations of a step, when the first one is done: see `Fused`. Steps
            that an action needs a gradient of stay as they are.
    """

    def __init__(
        self,
        num_envs: int,
        scenario: Scenario,
        *,
        device: torch.device | str = "cpu",
        autoreset: bool = True,
        compiled: bool = False,
    ) -> None:
        keep_freed_memory()
        self.num_envs = arguments.checked_num_envs(num_envs)
        self.device, self.autoreset, self.scenario = torch.device(device), autoreset, scenario
        self._model: Model = model_of(scenario, xp=torch_names, device=self.device)
        self._tapes = TensorTapes(self._model, self.num_envs, self.device)
        self._state: State | None = None
        rules = (self._model, self._model.initial_state(1), autoreset)
        self._play: Play = functools.partial(_played, *rules)
        self._decode_and_play: Play = functools.partial(_decoded_and_played, *rules)
        if compiled:
            self._play, self._decode_and_play = Fused(self._play), Fused(self._decode_and_play)

    @property
    def codec(self) -> Codec:
        """Translates between actions and allocations, states and observations."""
        return self._model.codec

    @property
    def observed(self) -> Observed:
        """What is known before the next round, in physical units."""
        return mapped(torch.clone, Observed(self._running(), self._tapes.reading.conditions.seen))

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
            The observation, (B, observation_size), and what it was made of.

        Raises:
            InvalidInputError: a wrong seed, or a tape that does not fit.
        """
        seeds = arguments.checked_seeds(seed, self.num_envs)
        tape = arguments.checked_tape(tape, self.scenario, self.num_envs)
        self._tapes.name_sequences(seeds)
        self._tapes.begin(tape)
        self._state = self._model.initial_state(self.num_envs)
        return self._model.encode(self._state, self._tapes.reading.conditions), self.observed

    def step(self, action: torch.Tensor) -> Result:
        """Do one learning round in every environment.

        Args:
            action: as for a single environment, of any floating-point type, (B, action_size).

        Returns:
            Observation before the next round, float32, (B, observation_size); reward, float64, terminated and
            truncated, (B,); and the round itself.

        Raises:
            InvalidInputError: an action of the wrong shape.
            ResetNeeded: there is no episode.
        """
        shape = (self.num_envs, self.codec.action_size)
        if action.shape != shape:
            raise InvalidInputError(f"action must have shape {shape}, got {tuple(action.shape)}")
        if torch.is_grad_enabled() and action.requires_grad:
            return self.play_round(straight_through(self.codec, _by_device(action)))
        return self._do(self._decode_and_play, action)

    def play_round(self, allocation: Allocation) -> Result:
        """Do one learning round that is decided in physical units, float64, within the scenario's limits."""
        return self._do(self._play, allocation)

    def _do(self, play: Play, decided: Any) -> Result:
        self._state, self._tapes.reading, result = play(self._running(), self._tapes.reading, decided)
        return result

    def detach(self) -> None:
        """Forget how the present came about: no gradient flows to actions before it."""
        self._state = mapped(torch.detach, self._running())

    def _running(self) -> State:
        if self._state is None:
            raise ResetNeeded("there is no episode yet: call reset() first")
        return self._state


def _played(
    model: Model, beginning: State, autoreset: bool, state: State, reading: Reading, allocation: Allocation
) -> tuple[State, Reading, Result]:
    """One round; what it hands out shares no memory with where all stand then."""
    after, outcome = model.step(state, reading.conditions, allocation)
    now = _chosen(after.ended, beginning, after) if autoreset else after
    reading = advanced(model, reading, now.round_index, after.ended, begin_next=autoreset)
    played = PlayedRound(mapped(torch.clone, after), allocation, outcome)
    ended, truncated = after.ended.clone(), torch.zeros_like(after.ended)
    observation = model.encode(now, reading.conditions)
    return now, reading, (observation, outcome.reward.clone(), ended, truncated, played)


def _decoded_and_played(
    model: Model, beginning: State, autoreset: bool, state: State, reading: Reading, action: torch.Tensor
) -> tuple[State, Reading, Result]:
    """The same of an action."""
    return _played(model, beginning, autoreset, state, reading, model.decode(_by_device(action)))


def _by_device(action: torch.Tensor) -> torch.Tensor:
    """Device by device in memory, as everything else is."""
    return action.T.contiguous().T


def straight_through(codec: Codec, action: torch.Tensor) -> Allocation:
    """What an action names, with the derivatives of what it would without rounding, a hair within its ends."""
    decided = codec.decode(action.detach())
    # In float32 there is no such hair.
    smooth = codec.fractional(action.to(torch.float64).clamp(-1.0, 1.0) * _WITHIN)
    # These differences and sums are exact: each pair is within a factor of two.
    values = {
        name: way + (value - way).detach()
        for (name, way), value in zip(smooth._asdict().items(), decided, strict=True)
        if way.is_floating_point()
    }
    return decided._replace(**values)


_WITHIN = 1 - 1e-9


def _chosen(mask: torch.Tensor, first: State, second: State) -> State:
    """Row by row from one of two states; the first may have a single row for all."""

    def choose(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.where(mask[:, None] if other.ndim == 2 else mask, one, other)

    return mapped(choose, first, second)
