"""What an environment reports beside observation and reward: the last round, item by item, in physical units."""

import numpy as np

from edgelearn_env.two_stage.dynamics import Allocation, Outcome, State


def itemised(state: State, allocation: Allocation, outcome: Outcome) -> dict[str, np.ndarray]:
    """The `info` of B episodes, (B,) or (B, K) arrays; `TwoStageEnv` has the table.

    Args:
        state: after the last round.
        allocation: what was decided for it.
        outcome: what it did.
    """
    progress, devices = state.bound_terms, outcome.devices
    return {
        "objective": outcome.objective,
        "counted": outcome.counted,
        "end_reason": outcome.end_reason,
        "finetuning": state.finetuning,
        "num_pretrain_rounds": progress.num_pretrain_rounds.astype(np.int64),
        "num_finetune_rounds": progress.num_finetune_rounds.astype(np.int64),
        "elapsed_s": state.elapsed_s,
        "spent_j": state.spent_j,
        "battery_j": state.battery_j,
        "duration_s": outcome.duration_s,
        "energy_j": outcome.energy_j,
        "server_j": outcome.server_j,
        **devices._asdict(),
        "server_freq_hz": allocation.server_freq_hz,
        "server_batch": allocation.server_batch,
        "freq_hz": allocation.freq_hz,
        "power_w": allocation.power_w,
        "batch": allocation.batch,
    }


def masked(items: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    """Gymnasium's vector form: beside each key `_key`, which of B episodes it speaks of; zeros elsewhere.

    Args:
        items: of the episodes that `mask` names, in their order.
        mask: (B,).
    """
    result, rows = {}, np.flatnonzero(mask)
    for name, item in items.items():
        result[name] = item if len(item) == len(mask) else _spread(item, rows, len(mask))
        result[f"_{name}"] = mask.copy()
    return result


def _spread(item: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
    """An array of that length that holds `item` in some rows, and zeros."""
    result = np.zeros((length, *item.shape[1:]), dtype=item.dtype)
    result[rows] = item
    return result
