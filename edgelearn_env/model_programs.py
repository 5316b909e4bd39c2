"""What a model does in a round, and to begin an episode, traced: as programs, and where they keep what they make."""

import dataclasses
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.arrays.traced import names
from edgelearn_env.arrays.traced.array import TracedArray, given, select
from edgelearn_env.arrays.traced.graph import Graph
from edgelearn_env.arrays.traced.program import program_of
from edgelearn_env.model import Allocation, Model, Outcome, State
from edgelearn_env.tapes.law import Conditions, LawState


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where an array of a record is kept.

    Attributes:
        rows: of each entry in turn; a slice where they follow each other.
        shape: of one episode's, () or (K,); dtype: of the array.
    """

    rows: slice | np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, rows: np.ndarray, dtype: np.dtype[Any]) -> Self:
        """That of an array of one episode, (1,) or (1, K), whose entries are kept in these rows."""
        flat = rows.ravel()
        follow = bool(np.all(np.diff(flat) == 1))
        return cls(slice(int(flat[0]), int(flat[-1]) + 1) if follow else flat, rows.shape[1:], dtype)

    def of_many(self, kept: np.ndarray, count: int) -> np.ndarray:
        """The array of so many episodes, (R,) or (R, K), device by device in memory, of all that is kept."""
        chosen = kept[self.rows]
        bits = chosen.copy().reshape(len(chosen), -1)[:, :count]
        values = bits.view(np.float64) if self.dtype.kind == "f" else bits if self.dtype.kind == "i" else bits != 0
        return values.T if self.shape else values[0]

    def of_one(self, values: np.ndarray) -> Any:
        """The array of the only episode, (K,), or its number."""
        return values[self.rows].copy() if self.shape else values[self.rows].item()


class ModelPrograms(NamedTuple):
    """What a model does to begin an episode, and in a round.

    Both leave the same rows: first what the next round begins with, then all else that is kept, then what is observed.

    Attributes:
        beginning: begins with the random stream of each episode, and whether its tape is given; `Program.numbers`.
        round: begins with the rows that are kept from the round before, and the action; likewise.
        num_kept: rows.
        marks: of the kept rows, how many a round begins with, and which are reward and end.
        records: where state, conditions, allocation and outcome are kept.
        info: where the items of `info` are.
    """

    beginning: tuple[np.ndarray, ...]
    round: tuple[np.ndarray, ...]
    num_kept: int
    marks: np.ndarray
    records: tuple[State, Conditions, Allocation, Outcome]
    info: dict[str, Place]

    @classmethod
    def of(cls, model: Model) -> Self:
        """Those of a model, whose class is made of a scenario and an array library."""
        traced = type(model)(model.scenario, names)  # type: ignore[call-arg]
        begun = _Traced.beginning(traced)
        played = _Traced.round(traced, begun)
        layout = _Layout.of(played, begun)
        state, _, _, outcome = layout.records
        return cls(
            beginning=program_of(begun.graph, layout.rows_of(begun)).numbers,
            round=program_of(played.graph, layout.rows_of(played)).numbers,
            num_kept=layout.num_kept,
            marks=np.array([layout.num_next, outcome.reward.rows.start, state.ended.rows.start]),
            records=layout.records,
            info=layout.info,
        )


class _Traced(NamedTuple):
    """One call of a model's code, noted.

    Attributes:
        graph: what was done.
        next: state, law of the tape, conditions, whether the tape is given: what the next round begins with.
        decided: allocation and outcome.
        info: item by item.
        observation: (1, observation_size).
    """

    graph: Graph
    next: tuple[State, LawState, Conditions, TracedArray]
    decided: tuple[Allocation, Outcome]
    info: dict[str, TracedArray]
    observation: TracedArray

    @classmethod
    def beginning(cls, model: Model) -> Self:
        """An episode's beginning."""
        graph = Graph()
        key, is_given = (TracedArray(graph.inputs((1,)), dtype, graph) for dtype in (np.int64, np.bool_))
        state = model.initial_state(1)
        law_state, drawn = model.next_rounds(model.before_first_round(key), 1)
        conditions = _brought(drawn, is_given, is_given ^ is_given)
        return cls._of(graph, model, (state, law_state, conditions, is_given), model.no_round(state))

    @classmethod
    def round(cls, model: Model, begun: "_Traced") -> Self:
        """A round, and what the next one brings; where an episode has ended that stays as it is."""
        graph = Graph()
        before = mapped(lambda array: TracedArray(graph.inputs(array.shape), array.dtype, graph), begun.next)
        state, law_state, conditions, is_given = before
        action = TracedArray(graph.inputs((1, model.codec.action_size)), np.float32, graph)
        allocation = model.decode(action)
        after, outcome = model.step(state, conditions, allocation)
        law_after, drawn = model.next_rounds(law_state, 1)
        brought = _brought(drawn, is_given, after.round_index)
        shown = mapped(lambda new, old: select(after.ended[:, None], old, new), brought, conditions)
        return cls._of(graph, model, (after, law_after, shown, is_given), (allocation, outcome))

    @classmethod
    def _of(
        cls,
        graph: Graph,
        model: Model,
        following: tuple[State, LawState, Conditions, TracedArray],
        decided: tuple[Allocation, Outcome],
    ) -> Self:
        state, _, conditions, _ = following
        info = model.info(state, *decided)
        return cls(graph, following, decided, info, model.encode(state, conditions))


class _Layout(NamedTuple):
    """In which order rows are kept."""

    num_next: int
    num_kept: int
    records: tuple[State, Conditions, Allocation, Outcome]
    info: dict[str, Place]
    added: list[tuple[str, int]]

    @classmethod
    def of(cls, played: _Traced, begun: _Traced) -> Self:
        """That of a model's two calls."""
        count = 0

        def place(array: TracedArray) -> Place:
            nonlocal count
            first = count
            count += array.rows.size
            rows = np.arange(first, count).reshape(array.shape)
            return Place.of(rows, array.dtype)

        state, _, conditions, _ = mapped(place, played.next)
        num_next = count
        allocation, outcome = mapped(place, played.decided)
        # An item of `info` is kept among the records where both calls have it there, else behind them.
        known: dict[tuple[int, int], int] = {}
        for position, pair in enumerate(
            _pairs(played, begun, (played.next, played.decided), (begun.next, begun.decided))
        ):
            known.setdefault(pair, position)
        info, added = {}, []
        for name, array in played.info.items():
            positions = []
            for index, pair in enumerate(_pairs(played, begun, (array,), (begun.info[name],))):
                if pair not in known:
                    known[pair] = count
                    added.append((name, index))
                    count += 1
                positions.append(known[pair])
            info[name] = Place.of(np.array(positions).reshape(array.shape), array.dtype)
        return cls(num_next, count, (state, conditions, allocation, outcome), info, added)

    def rows_of(self, traced: _Traced) -> list[np.ndarray]:
        """The rows that a call leaves, in this order, then what is observed."""
        rows = [array.rows_in(traced.graph) for array in arrays_of((traced.next, traced.decided))]
        more = [traced.info[name].rows_in(traced.graph).ravel()[index] for name, index in self.added]
        return [*rows, np.array(more, dtype=np.int64), traced.observation.rows_in(traced.graph)]


def _pairs(played: _Traced, begun: _Traced, ones: tuple[Any, ...], others: tuple[Any, ...]) -> list[tuple[int, int]]:
    """Of each entry of records of both calls: its rows in both."""
    both = [
        np.concatenate([array.rows_in(call.graph).ravel() for array in arrays_of(record)]).tolist()
        for call, record in ((played, ones), (begun, others))
    ]
    return list(zip(*both, strict=True))


def _brought(drawn: Conditions, is_given: TracedArray, index: TracedArray) -> Conditions:
    """What a round brings, (1, K): what was drawn, (1, K, 1), or what the caller's tape says of round `index`."""
    column = 0

    def of_tape(array: TracedArray) -> TracedArray:
        nonlocal column
        first, one = column, array[0].T
        column += one.shape[1]
        return given(one, is_given[:, None], index[:, None], first)

    return mapped(of_tape, drawn)
