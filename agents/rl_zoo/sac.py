"""Of SAC."""

from edgelearn_env.scenarios.systems import SYSTEMS

hyperparams = {
    SYSTEMS["two-stage"].environment: {
        "policy": "MlpPolicy",
        "n_timesteps": 200_000,
        "n_envs": 4,
        "learning_rate": 1e-3,
        "learning_starts": 1_000,
        "gamma": 1.0,  # the return of a finite episode needs no discount
        "policy_kwargs": {"net_arch": [64, 64]},
    }
}
