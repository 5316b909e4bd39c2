"""Makes the environments known to Gymnasium."""

from typing import NamedTuple

import gymnasium


class EntryPoints(NamedTuple):
    """Where an environment's two forms are found; both load on first use."""

    single: str
    vector: str


ENVIRONMENTS = {
    "EdgeLearn/TwoStage-v0": EntryPoints(
        "edgelearn_env.envs.two_stage:TwoStageEnv", "edgelearn_env.envs.two_stage_vector:TwoStageVectorEnv"
    ),
}


def register_environments() -> None:
    """Register all ids that are not registered yet; importing `edgelearn_env` does it."""
    for name, entry in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            # No max_episode_steps: a finite budget is part of the task, and episodes end by themselves.
            gymnasium.register(id=name, entry_point=entry.single, vector_entry_point=entry.vector)
