"""What a system provides to the shells around it: environments of every form, rollouts, reports, pictures.

A model is a scenario in the arrays of one library, together with all that plays it. Shells are handed one and know
nothing else of a system.
"""

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.scenarios.scenario import Scenario, system_of
from edgelearn_env.scenarios.systems import located
from edgelearn_env.tapes.law import LawState
from edgelearn_env.tapes.tape import Conditions, Tape

# A system's own records: named tuples of arrays, or of such, with the batch as their first axis, (B, ...). Shells read
# of a state `round_index` and `ended`, of an outcome `counted`, `end_reason` (index into END_REASONS) and `reward`.
State: TypeAlias = Any
Allocation: TypeAlias = Any
Outcome: TypeAlias = Any


class Observed(NamedTuple):
    """What an online policy knows before a round: the state and this round's conditions, never the future."""

    state: State
    conditions: Conditions


class Column(NamedTuple):
    """A number of each episode that reports list beside its objective.

    Attributes:
        name: its key in report files.
        symbol: its heading in tables.
        meaning: in words.
    """

    name: str
    symbol: str
    meaning: str


@runtime_checkable
class Codec(Protocol):
    """Between physical records and what an agent sees: actions in [-1, 1], observations in [0, 1], both float32."""

    @property
    def action_size(self) -> int:
        """Length of an action."""

    @property
    def observation_size(self) -> int:
        """Length of an observation."""

    def decode(self, action: Array) -> Allocation:
        """The allocation an action names, (B, action_size); entries beyond [-1, 1] count as the nearer end."""

    def fractional(self, action: Array) -> Allocation:
        """The same before what is whole is rounded: what derivatives are taken of."""

    def encode(self, state: State, conditions: Conditions) -> Array:
        """What is observed before a round, float32, (B, observation_size)."""

    def encode_action(self, allocation: Allocation) -> Array:
        """The action that names an allocation, float32, (B, action_size)."""


@runtime_checkable
class Episodes(Protocol):
    """B episodes in lockstep, each on a tape of its own. What is handed out is the caller's, but for two arrays."""

    @property
    def ended(self) -> np.ndarray:
        """Whether each episode is over, (B,); the next call may write to it."""

    @property
    def reward(self) -> np.ndarray:
        """Of the last round, (B,); likewise."""

    def begin(self, rows: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> None:
        """Begin an episode at these indices, on `sample_tape(scenario, seed, episode)`, each (R,)."""

    def begin_given(self, rows: np.ndarray, tape: Tape) -> None:
        """Begin an episode at these indices on a tape for all, (T, K), or on theirs of a batch, (B, T, K)."""

    def play(self, action: np.ndarray) -> None:
        """Do one round in every episode, one that has ended staying as it is; actions are finite, (B, action_size)."""

    def observation(self, rows: np.ndarray | None = None) -> np.ndarray:
        """What is observed now, in all episodes or in those at `rows`, (R, observation_size)."""

    def info(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """`Model.info` of the last round, of all episodes or of those at `rows`, (R,) or (R, K)."""

    def only_info(self) -> dict[str, Any]:
        """The same of the only episode, in plain numbers, and arrays (K,)."""

    def records(self) -> tuple[Observed, Allocation, Outcome]:
        """What is observed now, what was decided last, and what that did."""


@runtime_checkable
class Model(Protocol):
    """A system's scenario, ready to be played; arrays (B, K) lie device by device in memory."""

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""

    @property
    def minimised(self) -> Column:
        """What the objective is called."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """What reports list of each episode beside its objective."""

    @property
    def codec(self) -> Codec:
        """Between records and what an agent sees."""

    def episodes(self, num_episodes: int) -> Episodes:
        """B episodes to be played in lockstep, in numpy's arrays; `ArrayEpisodes` serves every model."""

    def initial_state(self, num_episodes: int) -> State:
        """B episodes before their first round."""

    def no_round(self, state: State) -> tuple[Allocation, Outcome]:
        """What stands for the last round before there was one: nothing decided, nothing counted."""

    def decode(self, action: Array) -> Allocation:
        """As `Codec.decode`."""

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """Do one round in each of B episodes; one that has ended stays as it is. Inputs are not written to."""

    def encode(self, state: State, conditions: Conditions) -> Array:
        """As `Codec.encode`, row by row in memory."""

    def checked_allocation(self, allocation: Allocation, num_episodes: int) -> Allocation:
        """`allocation`, once it is known to be one for every episode and to lie within the scenario's limits.

        Raises:
            InvalidInputError: it is not, or does not.
        """

    def objective(self, state: State) -> Array:
        """What is to be as low as possible, so far, (B,)."""

    def summary(self, state: State) -> dict[str, Array]:
        """The `columns` of episodes in that state, by name, (B,)."""

    def info(self, state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
        """The last round item by item, in physical units, (B,) or (B, K): `info` of the environments."""

    def before_first_round(self, key: Array) -> LawState:
        """Where the law of tapes begins, for the random streams of B episodes, (B,)."""

    def next_rounds(self, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
        """What the next R rounds of the tapes bring, arrays (R, K, B), and where the law stands after them."""

    def frame(self, trajectory: Any, episode: int, *, as_text: bool) -> np.ndarray | str:
        """One episode of a trajectory as an image, uint8 (H, W, 3), or as text."""

    def figure(self, trajectory: Any, episode: int, title: str) -> Any:
        """The same as a matplotlib figure with a title, for a file."""


def model_of(scenario: Scenario, kernel: str = "auto", *, xp: Any = np, **placement: Any) -> Model:
    """What plays a scenario.

    Args:
        scenario: of any system.
        kernel: what a round is computed by: "numpy"; "compiled", which needs numba; "auto" for the compiled one where
            it can be had. Numbers are the same to the last bit.
        xp: library of the arrays; only numpy's have a compiled kernel.
        placement: may hold the arrays' `device=`.

    Raises:
        InvalidInputError: no scenario, or no such kernel.
        MissingExtraError: the compiled one is asked for and cannot be had, as without numba.
    """
    made: Model = located(system_of(scenario).model)(scenario, kernel, xp=xp, **placement)
    return made
