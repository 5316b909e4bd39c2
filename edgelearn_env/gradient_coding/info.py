"""What `info` holds: the last round, item by item, in physical units."""

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.gradient_coding.records import Allocation, Outcome, State
from edgelearn_env.stages import info as stages


def info(state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
    """The `info` of B episodes, (B,), (B, K) or (B, n) arrays; `GradientCodingEnv` has the table.

    Args:
        state: after the last round.
        allocation: what was decided for it.
        outcome: what it did.
    """
    return {
        **stages.info(state, allocation, outcome),
        "edge_stragglers": allocation.edge_stragglers,
        "device_stragglers": allocation.device_stragglers,
        "asked": allocation.asked,
        "decoded": outcome.coded.decoded,
        # Not `load`, which containers of tensors keep for themselves.
        "load_samples": outcome.coded.load,
        "lateness": outcome.coded.lateness,
        "edge_s": outcome.coded.edge_s,
        "slowdown": state.seen.slowdown,
        "tries": state.seen.tries,
    }
