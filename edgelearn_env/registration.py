"""Makes the environments known to Gymnasium."""

import gymnasium

from edgelearn_env.scenarios.systems import SYSTEMS

# Ids of environments that are a system's with another reward, and where their two forms are found.
OTHER_REWARDS = {
    "EdgeLearn/mo-TwoStage-v0": (
        "edgelearn_env.two_stage.multi_objective:MultiObjectiveEnv",
        "edgelearn_env.two_stage.multi_objective:MultiObjectiveVectorEnv",
    ),
}


def environment_ids() -> tuple[str, ...]:
    """Ids of all environments: one of each system, and those with another reward."""
    return (*(system.environment for system in SYSTEMS.values()), *OTHER_REWARDS)


def register_environments() -> None:
    """Register all ids that are not registered yet; importing `edgelearn_env` does it."""
    for system in SYSTEMS.values():
        _register(system.environment, system.single, system.vector)
    for name, (single, vector) in OTHER_REWARDS.items():
        # Gymnasium's checker warns at every reward that is not a single number.
        _register(name, single, vector, disable_env_checker=True)


def _register(name: str, single: str, vector: str, *, disable_env_checker: bool = False) -> None:
    if name not in gymnasium.registry:
        # No max_episode_steps: a finite budget is part of the task, and episodes end by themselves.
        gymnasium.register(
            id=name, entry_point=single, vector_entry_point=vector, disable_env_checker=disable_env_checker
        )
