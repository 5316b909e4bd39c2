"""Of TD3."""

from edgelearn_env.scenarios.systems import SYSTEMS

hyperparams = {
    SYSTEMS["two-stage"].environment: {
        "policy": "MlpPolicy",
        "n_timesteps": 200_000,
        "n_envs": 4,
        "learning_rate": 3e-4,
        "learning_starts": 1_000,
        "noise_type": "normal",
        "noise_std": 0.2,
        "policy_kwargs": {"net_arch": [64, 64]},
    }
}
