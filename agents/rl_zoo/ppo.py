"""Of PPO."""

from edgelearn_env.scenarios.systems import SYSTEMS

hyperparams = {
    SYSTEMS["two-stage"].environment: {
        "policy": "MlpPolicy",
        "n_timesteps": 1_000_000,
        "n_envs": 32,
        "n_steps": 64,
        "batch_size": 256,
        "n_epochs": 4,
        "learning_rate": "lin_3e-3",
        "gamma": 1.0,  # the return of a finite episode needs no discount
        "gae_lambda": 0.95,
        # Actions reach from -1 to 1. With the usual 0 most of them would be cut off there, and waste the energy budget.
        "policy_kwargs": {"log_std_init": -1.0},
    }
}
