"""Makes the environments known to Gymnasium."""

from typing import NamedTuple

import gymnasium


class EntryPoints(NamedTuple):
    """Where an environment's two forms are found; both load on first use. Rewards are numbers, or vectors of them."""

    single: str
    vector: str
    scalar_reward: bool = True


ENVIRONMENTS = {
    "EdgeLearn/TwoStage-v0": EntryPoints(
        "edgelearn_env.two_stage.env:TwoStageEnv", "edgelearn_env.envs.vector:TwoStageVectorEnv"
    ),
    "EdgeLearn/mo-TwoStage-v0": EntryPoints(
        "edgelearn_env.two_stage.multi_objective:MultiObjectiveEnv",
        "edgelearn_env.two_stage.multi_objective:MultiObjectiveVectorEnv",
        scalar_reward=False,
    ),
}


def register_environments() -> None:
    """Register all ids that are not registered yet; importing `edgelearn_env` does it."""
    for name, entry in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            # No max_episode_steps: a finite budget is part of the task, and episodes end by themselves.
            gymnasium.register(
                id=name,
                entry_point=entry.single,
                vector_entry_point=entry.vector,
                # Gymnasium's checker warns at every reward that is not a single number.
                disable_env_checker=not entry.scalar_reward,
            )
