"""What `info` holds: the last round, item by item, in physical units."""

import numpy as np

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.model import Allocation, Outcome, State


def info(state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
    """The `info` of B episodes of any system, (B,) or (B, K) arrays; `TwoStageEnv` has the table.

    Args:
        state: after the last round.
        allocation: what was decided for it.
        outcome: what it did.
    """
    terms, devices = state.bound_terms, outcome.devices
    return {
        "objective": outcome.objective,
        "counted": outcome.counted,
        "end_reason": outcome.end_reason,
        "finetuning": state.finetuning,
        "num_pretrain_rounds": terms.num_pretrain_rounds.astype(np.int64),
        "num_finetune_rounds": terms.num_finetune_rounds.astype(np.int64),
        "participation": terms.participation,
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
