"""Agents that learn to control the environments; each module in sight is one recipe.

What is named here loads when it is first asked for.
"""

from typing import TYPE_CHECKING

from edgelearn_env.faces import lazy_face

if TYPE_CHECKING:
    from edgelearn_env.agents.runs.checkpoint import Checkpoint, load_policy, shipped_checkpoints

__all__ = ["Checkpoint", "load_policy", "shipped_checkpoints"]

__getattr__, __dir__ = lazy_face(__name__, dict.fromkeys(__all__, ".runs.checkpoint"))
