"""Proximal policy optimisation (PPO) on the native vector environment, from choices to checkpoint.

The algorithm is that of Stable-Baselines3. What this recipe adds:

* an actor whose devices share one network (`actor`), starting at a static plan (`starting_point`);
* a critic that starts at log Psi less a constant, so that the return to expect is nearly known from the first step on;
* exploration that narrows by a schedule, and a judgement on validation tapes that decides which state is kept;
* runs that go on after an interruption, to the last bit as if there had been none.

Files of a run: `checkpoint.zip` is the best state so far, `progress.csv` the training curve, and `snapshot.pkl` where
to go on. The last is a pickle, which can run code when it is read: go on with runs of your own only.
"""

import csv
import dataclasses
import importlib.util
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from edgelearn_env.agents.actor import Actor
from edgelearn_env.agents.checkpoint import Checkpoint, installed_versions, save
from edgelearn_env.agents.ppo_config import PPOConfig
from edgelearn_env.envs.sb3 import NativeVecEnv  # first of those that need the extra, since it says so
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.files import written_atomically
from edgelearn_env.scenario import Scenario
from edgelearn_env.seeds import validation_seeds
from edgelearn_env.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

import torch  # isort: skip
from stable_baselines3 import PPO  # isort: skip
from stable_baselines3.common.callbacks import BaseCallback  # isort: skip
from stable_baselines3.common.logger import Logger, configure  # isort: skip

from edgelearn_env.agents.actor_critic import StartedPolicy  # isort: skip

CHECKPOINT, CURVE, SNAPSHOT = "checkpoint.zip", "progress.csv", "snapshot.pkl"

# What Stable-Baselines3 keeps between rollouts, beside networks and environments.
_COUNTERS = (
    *("num_timesteps", "_n_updates", "_last_obs", "_last_episode_starts"),
    *("ep_info_buffer", "ep_success_buffer"),
)


class Progress(NamedTuple):
    """A point of the training curve.

    Attributes:
        steps: environment steps so far.
        seconds: of training so far, all sittings together.
        mean_return: of the last hundred training episodes, exploration included; NaN before the first has ended.
        validation_objective: geometric mean of Phi at the last judgement.
        best_objective: the least of all judgements.
    """

    steps: int
    seconds: float
    mean_return: float
    validation_objective: float
    best_objective: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a training run came to.

    Attributes:
        checkpoint: file of the best state.
        best_objective: its geometric mean of Phi on the validation tapes.
        curve: one point a judgement.
        interrupted: whether it was stopped before `total_steps`; calling `train` again goes on.
    """

    checkpoint: Path
    best_objective: float
    curve: tuple[Progress, ...]
    interrupted: bool


def train(
    config: PPOConfig,
    directory: str | Path,
    *,
    fresh: bool = False,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> Result:
    """Train, or go on with the run in `directory`; an interrupt (Ctrl-C) saves and returns.

    Seeds the global generators of numpy and torch.

    Args:
        config: choices; to go on, all but `total_steps` and `num_threads` must be those the run was begun with.
        directory: of the run's files.
        fresh: begin anew, whatever the directory holds.
        on_progress: called after each rollout.

    Raises:
        InvalidInputError: the directory holds a run with other choices, or a damaged one.
    """
    directory = Path(directory)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        run = _Run(config, directory, on_progress)
        if not fresh and (directory / SNAPSHOT).exists():
            run.restore()
        return run.finish()
    finally:
        torch.set_num_threads(threads)


class _Run(BaseCallback):
    """A run in progress; Stable-Baselines3 calls it around each rollout."""

    def __init__(self, config: PPOConfig, directory: Path, on_progress: Callable[[Progress], object]) -> None:
        super().__init__()
        self._config, self._directory, self._on_progress = config, directory, on_progress
        self._scenario = config.system
        tapes = [sample_tape(self._scenario, seed) for seed in validation_seeds(config.validation_tapes)]
        self._tapes = Tape.stack(tapes)
        self._ppo = algorithm(config, self._scenario, directory)
        self._curve: list[Progress] = []
        self._earlier_s, self._start_s = 0.0, time.perf_counter()
        self._snapshot = b""

    def finish(self) -> Result:
        """Train until the last step or an interrupt."""
        remaining, interrupted = self._config.total_steps - self._ppo.num_timesteps, False
        try:
            if remaining > 0:
                self._ppo.learn(remaining, callback=self, reset_num_timesteps=False)
                self._judge()
                self._snapshot = self._pickled()
        except KeyboardInterrupt:
            if not self._curve:
                raise
            interrupted = True
        if self._snapshot:
            self._write_snapshot()
        best = self._curve[-1].best_objective
        path = self._directory / CHECKPOINT
        return Result(checkpoint=path, best_objective=best, curve=tuple(self._curve), interrupted=interrupted)

    def restore(self) -> None:
        """Go on where the directory's snapshot was taken."""
        path = self._directory / SNAPSHOT
        try:
            saved = pickle.loads(path.read_bytes())
            same = _decisive(saved["choices"], saved["scenario"])
        except Exception as error:  # whatever damaged bytes lead the unpickler to
            sentence = f"snapshot file {str(path)!r} is damaged (begin anew: --fresh, in code fresh=True): {error}"
            raise InvalidInputError(sentence) from error
        asked = _decisive(self._config.choices, self._scenario.to_dict())
        for name, value in asked.items():
            if same.get(name) != value:
                sentence = f"the run in {str(self._directory)!r} was begun with another {name.replace('_', ' ')}"
                raise InvalidInputError(
                    f"{sentence}: choose another directory, or begin anew (--fresh, in code fresh=True)"
                )
        self._ppo.set_env(saved["envs"], force_reset=False)
        self._ppo.policy.load_state_dict(saved["policy"])
        self._ppo.policy.optimizer.load_state_dict(saved["optimizer"])
        for name, value in saved["counters"].items():
            setattr(self._ppo, name, value)
        self._curve, self._earlier_s = saved["curve"], saved["seconds"]
        np.random.set_state(saved["numpy"])  # noqa: NPY002 (Stable-Baselines3 draws its minibatches from it)
        torch.set_rng_state(saved["torch"])

    def _on_rollout_start(self) -> None:
        rollouts = self._ppo.num_timesteps // (self._config.num_envs * self._config.rollout_steps)
        due = rollouts % self._config.validate_every == 0 and not (
            self._curve and self._curve[-1].steps == self._ppo.num_timesteps
        )
        if due:
            self._judge()
        first, last = self._config.log_std, self._config.final_log_std
        share = min(1.0, self._ppo.num_timesteps / self._config.total_steps)
        self._ppo.policy.explore(first + (last - first) * share)  # type: ignore[operator]
        self._snapshot = self._pickled()
        if due:
            self._write_snapshot()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        last = self._curve[-1]
        self._on_progress(self._point(last.validation_objective, last.best_objective))

    def _judge(self) -> None:
        """Play the validation tapes; keep the state if none was better."""
        actor: Actor = self._ppo.policy.actor()  # type: ignore[operator]
        # The mean of log Phi is what the return measures; that of Phi hangs on the few tapes that end in a deep fade.
        objective = rollout(self._scenario, self._tapes, actor.policy(self._scenario)).objective
        value = float(np.exp(np.mean(np.log(objective))))
        best = min([value, *(point.validation_objective for point in self._curve)])
        point = self._point(value, best)
        self._ppo.logger.record("validation/objective", value)
        if value == best:
            save(self._checkpoint(actor, point), self._directory / CHECKPOINT)
        self._curve.append(point)
        with written_atomically(self._directory / CURVE) as path, path.open("w", newline="") as file:
            csv.writer(file).writerows([Progress._fields, *self._curve])

    def _point(self, value: float, best: float) -> Progress:
        returns = [episode["r"] for episode in self._ppo.ep_info_buffer or ()]
        mean_return = float(np.mean(returns)) if returns else float("nan")
        return Progress(self._ppo.num_timesteps, self._seconds(), mean_return, value, best)

    def _checkpoint(self, actor: Actor, point: Progress) -> Checkpoint:
        return Checkpoint(
            actor=actor,
            scenario=self._scenario,
            recipe="ppo",
            config=self._config.choices,
            seed=self._config.seed,
            steps=point.steps,
            validation_objective=point.validation_objective,
            num_validation_tapes=self._config.validation_tapes,
            versions=installed_versions(),
        )

    def _seconds(self) -> float:
        return self._earlier_s + time.perf_counter() - self._start_s

    def _pickled(self) -> bytes:
        """All that decides what comes next."""
        state = {
            "choices": self._config.choices,
            "scenario": self._scenario.to_dict(),
            "envs": self._ppo.env,
            "policy": self._ppo.policy.state_dict(),
            "optimizer": self._ppo.policy.optimizer.state_dict(),
            "counters": {name: getattr(self._ppo, name) for name in _COUNTERS},
            "curve": self._curve,
            "seconds": self._seconds(),
            "numpy": np.random.get_state(),  # noqa: NPY002
            "torch": torch.get_rng_state(),
        }
        return pickle.dumps(state)

    def _write_snapshot(self) -> None:
        with written_atomically(self._directory / SNAPSHOT) as path:
            path.write_bytes(self._snapshot)


def algorithm(config: PPOConfig, scenario: Scenario, directory: Path) -> PPO:
    """The algorithm before its first step."""
    envs = NativeVecEnv([lambda: gymnasium.make("EdgeLearn/TwoStage-v0", scenario=scenario)] * config.num_envs)
    ppo = PPO(
        StartedPolicy,
        envs,
        learning_rate=lambda remaining: config.learning_rate * remaining,
        n_steps=config.rollout_steps,
        batch_size=config.minibatch_size,
        n_epochs=config.epochs,
        gamma=config.discount,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        target_kl=config.target_kl,
        ent_coef=0.0,
        policy_kwargs={
            "scenario": scenario,
            "hidden": config.hidden,
            "critic_hidden": config.critic_hidden,
            "log_std_init": config.log_std,
        },
        seed=config.seed,
        device="cpu",
    )
    ppo.set_logger(_logger(config, directory))
    return ppo


def _logger(config: PPOConfig, directory: Path) -> Logger:
    """Where Stable-Baselines3 writes what it measures: to TensorBoard's files, or nowhere."""
    if not config.tensorboard:
        return configure(None, [])
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard is not installed: pip install 'edgelearn-env[agents]'")
    return configure(str(directory / "tensorboard"), ["tensorboard"])


def _decisive(choices: Mapping[str, Any], scenario: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change between two sittings of a run."""
    free = ("total_steps", "num_threads", "tensorboard")
    return {"scenario": dict(scenario)} | {name: value for name, value in choices.items() if name not in free}
