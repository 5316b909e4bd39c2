"""How much memory a step has to move, and how much the memory of a device can: what bounds any form from above."""

from collections.abc import Callable

import numpy as np

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.speed.timing import seconds_of
from edgelearn_env.tapes.tape import sample_tape

# Far more than any cache holds.
_COPIED_BYTES = 2**28
_REPEATS = 5


def least_step_bytes(scenario: Scenario) -> int:
    """Bytes that a step of one environment moves at the very least.

    The state is read and written; the tape's row (float64) and the float32 action are read; the float32 observation is
    written; each once.
    """
    model = model_of(scenario, "numpy")
    codec = model.codec
    of_state: int = sum(array.nbytes for array in arrays_of(model.initial_state(1)))
    of_row: int = sum(array[0].nbytes for array in arrays_of(sample_tape(scenario, 0)))
    return 2 * of_state + of_row + (codec.action_size + codec.observation_size) * np.dtype(np.float32).itemsize


def copied_bytes_per_s(device: str) -> float:
    """Bytes that a large copy within a device's memory reads and writes a second: the best of some.

    Args:
        device: "cpu", whose copy is numpy's, in one thread; or a device of torch.
    """
    copy = _copy_on_host() if device == "cpu" else _copy_on(device)
    copy()
    return 2 * _COPIED_BYTES / min(seconds_of(copy)[0] for _ in range(_REPEATS))


def _copy_on_host() -> Callable[[], None]:
    source, target = np.ones(_COPIED_BYTES, dtype=np.uint8), np.ones(_COPIED_BYTES, dtype=np.uint8)
    return lambda: np.copyto(target, source)


def _copy_on(device: str) -> Callable[[], None]:
    import torch

    source, target = torch.ones((2, _COPIED_BYTES), dtype=torch.uint8, device=device)

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize(source.device)

    return copy
