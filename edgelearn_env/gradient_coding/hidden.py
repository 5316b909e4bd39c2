"""What a coded round hides until it is over: slow devices, stalls, uploads sent again; its record and its law."""

from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.tapes.counter_random import mixed, uniforms
from edgelearn_env.tapes.tape import checked_numbers, require_shape


class Hidden(NamedTuple):
    """By round, (T, K) or (T, n) on a tape, (B, K) or (B, n) of one round.

    Attributes:
        slowdown: x, how many times as long each device computes, at least 1.
        stall_s: y, how much longer it takes for each sample, s.
        tries: N, how often it has to send its result, at least 1.
        edge_tries: N^e, how often each edge node has to send its own.
    """

    slowdown: Array
    stall_s: Array
    tries: Array
    edge_tries: Array

    def checked(self, scenario: GradientCodingScenario, axes: tuple[int, ...]) -> Self:
        """These arrays, once they are known to fit the scenario.

        Args:
            scenario: whose tape they are of.
            axes: the leading axes that they must have, (T,) or (B, T).

        Raises:
            InvalidInputError: a wrong shape, a number that is too small or not whole.
        """
        least = {"slowdown": 1.0, "stall_s": 0.0, "tries": 1.0, "edge_tries": 1.0}
        arrays = {
            name: checked_numbers(f"hidden.{name}", values, least[name]) for name, values in self._asdict().items()
        }
        for name, array in arrays.items():
            of_edges = name == "edge_tries"
            columns = scenario.coding.num_edges if of_edges else scenario.num_devices
            counted = "coding.num_edges" if of_edges else "devices.num_devices"
            require_shape(f"hidden.{name}", array, (scenario.budgets.max_rounds, columns), counted)
            if array.shape[:-1] != axes:
                sentence = f"tape.hidden.{name} must have the leading axes of tape.channel_gain, {axes}"
                raise InvalidInputError(f"{sentence}, got {array.shape[:-1]}")
            if name.endswith("tries") and np.any(part := array != np.round(array)):
                raise InvalidInputError(f"tape.hidden.{name} must hold whole numbers, got {array[part][0]:g}")
        return type(self)(**arrays)


class HiddenLaw(NamedTuple):
    """The random law of `Hidden`, in the arrays of one library.

    Devices are slowed by a two-state Markov chain, stall exponentially, and send as often as a geometric number says.
    Its random numbers have streams of their own: channels and harvest are those of the same seed without stragglers.

    Attributes:
        slow_factor, slow_begin, slow_end, stall_s: as in `Stragglers`, (K, 1).
        slow_at_first: chance of being slowed in the first round, that of the stationary law, (K, 1).
        per_log_erasure: 1 / ln p of each device, then of each edge node; 0 where nothing is erased, (K + n, 1).
    """

    slow_factor: Array
    slow_begin: Array
    slow_end: Array
    stall_s: Array
    slow_at_first: Array
    per_log_erasure: Array

    @classmethod
    def of(cls, scenario: GradientCodingScenario, xp: Any = np, **placement: Any) -> Self:
        """The law of a scenario; `placement` may hold the arrays' `device=`."""
        stragglers = scenario.stragglers
        begin, end = np.asarray(stragglers.slow_begin), np.asarray(stragglers.slow_end)
        erasure = np.append(stragglers.erasure, np.full(scenario.coding.num_edges, stragglers.edge_erasure))
        per_log = np.divide(1.0, np.log(erasure, where=erasure > 0, out=-np.ones(erasure.shape)))

        def column(values: np.ndarray | float) -> Array:
            return xp.asarray(np.array(values)[:, None], dtype=xp.float64, **placement)

        return cls(
            slow_factor=column(stragglers.slow_factor),
            slow_begin=column(begin),
            slow_end=column(end),
            stall_s=column(stragglers.stall_s),
            slow_at_first=column(np.divide(begin, begin + end, where=begin > 0, out=np.zeros(begin.shape))),
            per_log_erasure=column(np.where(erasure > 0, per_log, 0.0)),
        )


class HiddenState(NamedTuple):
    """Where that law stands: the stream of each episode, (B,); 1.0 where a device is slowed, else 0.0, (K, B)."""

    key: Array
    slow: Array


def before_first_round(law: HiddenLaw, key: Array) -> HiddenState:
    """Where the law stands before the first round, for the random streams of B episodes."""
    # The episode's own numbers are `mixed` of states after this one: no number of theirs begins this stream.
    xp, own = namespace_of(key), mixed(key)
    num_devices = law.slow_factor.shape[0]
    draws = uniforms(own, xp.zeros_like(own), 1, _row_length(law))[0, :num_devices, :]
    return HiddenState(own, xp.astype(draws < law.slow_at_first, xp.float64))


def next_rounds(law: HiddenLaw, state: HiddenState, round_index: Array, num_rounds: int) -> tuple[HiddenState, Hidden]:
    """What the next R rounds hide, (R, K, B) and (R, n, B), and where the law stands after them.

    x_t = slow_factor while slowed, else 1; y ~ Exp(mean stall_s); P(N > i) = p^i.

    Args:
        law: of the scenario.
        state: before these rounds.
        round_index: t of the first of them, (B,).
        num_rounds: R, at least 1. A round's numbers do not depend on how many are drawn together.
    """
    xp, num_devices = namespace_of(state.key), law.slow_factor.shape[0]
    draws = uniforms(state.key, round_index + 1, num_rounds, _row_length(law))
    turns = draws[:, :num_devices, :]
    slow = [state.slow]
    for index in range(num_rounds):
        turn = turns[index, ...]
        after = xp.where(slow[-1] > 0, turn >= law.slow_end, turn < law.slow_begin)
        slow.append(xp.astype(after, xp.float64))
    tries = 1.0 + xp.floor(xp.log(draws[:, 2 * num_devices :, :]) * law.per_log_erasure)
    hidden = Hidden(
        slowdown=1.0 + (law.slow_factor - 1.0) * xp.stack(slow[1:]),
        stall_s=-law.stall_s * xp.log(draws[:, num_devices : 2 * num_devices, :]),
        tries=tries[:, :num_devices, :],
        edge_tries=tries[:, num_devices:, :],
    )
    return HiddenState(state.key, slow[-1]), hidden


def _row_length(law: HiddenLaw) -> int:
    """Random numbers of a round: a turn, a stall and tries of each device, tries of each edge node."""
    return int(2 * law.slow_factor.shape[0] + law.per_log_erasure.shape[0])
