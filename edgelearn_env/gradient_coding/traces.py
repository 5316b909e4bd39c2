"""Slow-downs as they were measured: put on a tape, or made constants of the law that `Stragglers` states.

A trace is a table of compute times over what is usual, such as the median worker of the same step: one line a round,
one number a device. Whoever is faster than usual counts as 1, since a scenario's clocks say what is usual. Columns go
to the devices in order, further ones are left out.
"""

from pathlib import Path

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.tapes.tape import Tape, checked_numbers, trace_of

# A CSV file, in which `#` begins a comment, or an array of (rounds, devices).
Trace = str | Path | np.ndarray


def with_slowdowns(tape: Tape, trace: Trace) -> Tape:
    """The tape with the slow-downs of a trace in place of its own; all else that it holds stays.

    A trace of fewer rounds than the tape is repeated from its start, of one with more the first are taken.

    Args:
        tape: of a scenario with codes; every episode of a batch gets the same slow-downs.
        trace: of compute times over what is usual.

    Raises:
        InvalidInputError: no such file, no table of numbers of at least 0, too few columns, or a tape of another
            system.
    """
    if not isinstance(tape.hidden, Hidden):
        sentence = "tape.hidden must be a Hidden to take slow-downs, as sample_tape draws it for 'gradient-coding'"
        raise InvalidInputError(f"{sentence}, got {type(tape.hidden).__name__}")
    shape = np.shape(tape.hidden.slowdown)
    table = _slowdowns(trace, shape[-1])
    rounds = table[np.arange(shape[-2]) % len(table)]
    return tape._replace(hidden=tape.hidden._replace(slowdown=np.broadcast_to(rounds, shape).copy()))


def fitted_stragglers(trace: Trace, num_devices: int, slow_from: float = 1.15) -> dict[str, list[float]]:
    """What `Stragglers` says of the two-state chain, fitted to each column: `scenario.replace(stragglers=...)`.

    A device is slowed in the rounds in which it takes at least `slow_from` times as long as usual. The factor is its
    mean in those rounds; the chances to be slowed and to recover are counted over consecutive rounds, the first
    following the last as where a trace is repeated: so the chain is slowed in the same share of rounds as the trace. A
    device that is always slowed never recovers, one that never is has factor 1.

    Args:
        trace: of compute times over what is usual.
        num_devices: K, how many of its columns to fit.
        slow_from: least ratio that is a slow-down and no noise.

    Raises:
        InvalidInputError: no such file, no table of numbers of at least 0, or too few columns.
    """
    table = _slowdowns(trace, num_devices)
    slow = table >= slow_from
    before, after = slow, np.roll(slow, -1, axis=0)
    ever, always = np.any(slow, axis=0), np.all(slow, axis=0)
    fitted = {
        "slow_factor": np.where(ever, _share(np.where(slow, table, 0.0), slow), 1.0),
        "slow_begin": np.where(always, 1.0, _share(~before & after, ~before)),
        "slow_end": np.where(np.any(before, axis=0), _share(before & ~after, before), 1.0),
    }
    return {name: values.tolist() for name, values in fitted.items()}


def _slowdowns(trace: Trace, num_devices: int) -> np.ndarray:
    """The first K columns of a trace, at least 1, (rounds, K)."""
    table = trace_of(trace, "slow-down") if isinstance(trace, str | Path) else trace
    table = checked_numbers("hidden.slowdown", table)
    if table.ndim != 2 or len(table) == 0 or table.shape[1] < num_devices:
        sentence = f"a slow-down trace must have a row a round and at least {num_devices} columns, one a device"
        raise InvalidInputError(f"{sentence}, got shape {table.shape}")
    return np.asarray(np.maximum(table[:, :num_devices], 1.0))


def _share(of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Sum of `of` over the number of rounds `among`, by column; 0 where there are none."""
    return np.asarray(np.sum(of, axis=0) / np.maximum(np.sum(among, axis=0), 1))
