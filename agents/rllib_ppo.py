"""PPO with RLlib, on a Ray cluster; the native vector environment runs in every sampling process.

    python -m edgelearn_env.agents.rllib_ppo --scenario tiny --steps 50000
    python -m edgelearn_env.agents.rllib_ppo --address HEAD:6379 --runners 16

Without an address Ray starts on this machine. RLlib 2.60 pins gymnasium 1.2.2, so the extra `rllib` wants a virtual
environment of its own. On a cluster, start this on one of its nodes; every node needs the package. A cluster may ask
for a token, and one begun by `ray start` does once its user has one: then set `RAY_AUTH_MODE=token` here too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from edgelearn_env.agents.runs.one_file import (
    Choices,
    CurvePoint,
    NumEnvs,
    OnProgress,
    Out,
    Result,
    ScenarioName,
    Seed,
    Steps,
    command,
    missing,
    run,
    write_report,
)
from edgelearn_env.errors import InvalidInputError

try:
    import ray
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.ppo import PPOConfig
except ImportError as error:
    raise missing(__name__, "RLlib", "rllib") from error

ROLLOUT_STEPS, EPOCHS, MINIBATCHES = 64, 4, 8
LEARNING_RATE, MAX_GRADIENT_NORM = 3e-3, 0.5
DISCOUNT, GAE_LAMBDA = 1.0, 0.95  # the return of a finite episode needs no discount
CLIP_RANGE, VALUE_WEIGHT = 0.2, 0.5
HIDDEN = 64


def train(
    choices: Choices,
    folder: Path,
    on_progress: OnProgress = lambda progress: None,
    *,
    address: str = "local",
    num_runners: int = 1,
) -> Result:
    """Train, and write RLlib's checkpoint and a report to `folder`.

    Args:
        choices: `num_envs` is that of each runner.
        folder: of the run's files.
        on_progress: called after each update.
        address: of the cluster's head; "local" starts Ray on this machine, for the time of the training.
        num_runners: processes that sample.
    """
    config = _config(choices, num_runners)
    with ray.init(address, include_dashboard=False, log_to_driver=False):
        algorithm = config.build_algo()
        try:
            curve = []
            for progress in _learning(algorithm, choices.total_steps):
                curve.append(progress)
                on_progress(progress)
            checkpoint = Path(algorithm.save_to_path((folder / "checkpoint").absolute()))
        finally:
            algorithm.stop()
    write_report(folder, choices, curve, "ray")
    return Result(checkpoint, tuple(curve))


def _learning(algorithm: Algorithm, total_steps: int) -> Iterator[CurvePoint]:
    """Collect, update, and so on; yields after each update."""
    steps = 0
    while steps < total_steps:
        seen = algorithm.train()["env_runners"]
        steps = int(seen["num_env_steps_sampled_lifetime"])
        means = (float(seen.get(name, float("nan"))) for name in ("episode_return_mean", "objective"))
        yield CurvePoint(steps, int(seen.get("num_episodes_lifetime", 0)), *means)


def _config(choices: Choices, num_runners: int) -> PPOConfig:
    """The algorithm before its first step."""
    steps = ROLLOUT_STEPS * choices.num_envs * num_runners
    environment = {"scenario": choices.loaded_scenario}
    return (
        PPOConfig()
        # The name before the colon is imported in every process, which registers the environment there.
        .environment(f"edgelearn_env:{choices.loaded_scenario.environment}", env_config=environment)
        .env_runners(
            num_env_runners=num_runners,
            num_envs_per_env_runner=choices.num_envs,
            rollout_fragment_length=ROLLOUT_STEPS,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .training(
            train_batch_size_per_learner=steps,
            minibatch_size=max(1, steps // MINIBATCHES),
            num_epochs=EPOCHS,
            lr=LEARNING_RATE,
            gamma=DISCOUNT,
            lambda_=GAE_LAMBDA,
            clip_param=CLIP_RANGE,
            vf_loss_coeff=VALUE_WEIGHT,
            use_kl_loss=False,
            grad_clip=MAX_GRADIENT_NORM,
            grad_clip_by="global_norm",
        )
        .rl_module(model_config={"fcnet_hiddens": [HIDDEN, HIDDEN], "fcnet_activation": "tanh"})
        .callbacks(on_episode_end=_note_bound)
        .debugging(seed=choices.seed, log_level="ERROR")
    )


def _note_bound(*, episode: Any, metrics_logger: Any, **others: Any) -> None:
    """Report Phi of an episode that has ended beside its return."""
    metrics_logger.log_value("objective", episode.get_infos(-1)["objective"], window=100)


def main(
    scenario: ScenarioName = "default",
    steps: Steps = 200_000,
    seed: Seed = 0,
    num_envs: NumEnvs = 32,
    out: Out = Path("runs/rllib-ppo"),
    address: Annotated[str, typer.Option(help="Of a Ray cluster's head; local starts one here.")] = "local",
    runners: Annotated[int, typer.Option(help="Processes that sample, with that many environments each.")] = 1,
) -> None:
    """Train an agent with RLlib's PPO, on a Ray cluster."""
    if runners < 1:
        raise InvalidInputError(f"--runners must be at least 1, got {runners}")

    def on_cluster(choices: Choices, folder: Path, on_progress: OnProgress) -> Result:
        return train(choices, folder, on_progress, address=address, num_runners=runners)

    run(on_cluster, Choices(scenario=scenario, total_steps=steps, seed=seed, num_envs=num_envs), out)


if __name__ == "__main__":
    command(main, "Train an agent with RLlib's PPO, on a Ray cluster.")
