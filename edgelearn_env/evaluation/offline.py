"""Episodes as data for offline reinforcement learning, in Minari's format (extra `offline`)."""

import importlib.metadata
import shutil
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.files import writable_folder
from edgelearn_env.model import Allocation, Codec, Observed, model_of
from edgelearn_env.physics.budgets import RUNNING
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import Policy, Trajectory, rollout


class RecordedEpisode(NamedTuple):
    """What an agent would have seen and done in n rounds of `TwoStageEnv`.

    Attributes:
        observations: before each round, and after the last one, float32, (n + 1, 5 + 3 K).
        actions: float32 in [-1, 1], (n, 3 + 3 K).
        rewards: (n,).
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray


class _Actions:
    """A policy whose decisions pass through the action space, as an agent's do; it remembers the actions."""

    def __init__(self, codec: Codec, policy: Policy) -> None:
        self._codec, self._policy = codec, policy
        self.taken: list[np.ndarray] = []

    def __call__(self, observed: Observed) -> Allocation:
        self.taken.append(self._codec.encode_action(self._policy(observed)))
        return self._codec.decode(self.taken[-1])


def recorded_episodes(scenario: Scenario, tapes: Tape, policy: Policy) -> list[RecordedEpisode]:
    """Episodes that a policy plays through the action space, number for number those of the environment.

    Args:
        scenario: the system.
        tapes: of shape (B, T, K).
        policy: as for `rollout`; what no action can name becomes the nearest action.
    """
    codec = model_of(scenario).codec
    acting = _Actions(codec, policy)
    trajectory = rollout(scenario, tapes, acting)
    actions, observations = np.stack(acting.taken, axis=1), _observations(codec, tapes, trajectory)
    num_rounds = np.argmax(trajectory.outcomes.end_reason != RUNNING, axis=1) + 1
    return [
        RecordedEpisode(observations[i, : count + 1], actions[i, :count], trajectory.outcomes.reward[i, :count])
        for i, count in enumerate(num_rounds)
    ]


def require_new_dataset(name: str) -> None:
    """Raise unless a Minari dataset of that name could be made.

    Raises:
        InvalidInputError: the name is none, there is such a dataset already, or its folder cannot be written to.
        MissingExtraError: Minari is not installed.
    """
    _require_minari()
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(name)
    except (ValueError, TypeError):
        raise InvalidInputError(f"a dataset's name looks like group/name-v0, got {name!r}") from None
    if _folder(name).exists():
        raise InvalidInputError(f"dataset {name!r} exists already: choose another name, or `minari delete {name}`")
    writable_folder(_folder(name), "MINARI_DATASETS_PATH")


def create_minari_dataset(
    name: str, scenario: Scenario, seeds: Sequence[int], episodes: Sequence[RecordedEpisode], algorithm: str
) -> None:
    """Write episodes as a Minari dataset, whole or not at all; `minari.load_dataset(name)` reads it.

    Args:
        name: such as edgelearn/two-stage/default-mpc-v0.
        scenario: that was played; the dataset's `recover_environment` makes an environment of it.
        seeds: `reset(seed=...)` begins the episodes.
        episodes: one for each seed.
        algorithm: the policy's name.

    Raises:
        InvalidInputError, MissingExtraError: as for `require_new_dataset`.
    """
    require_new_dataset(name)
    import minari

    with warnings.catch_warnings():
        # Minari warns of every field of its form that is left empty, such as an author's e-mail.
        warnings.simplefilter("ignore", UserWarning)
        try:
            minari.create_dataset_from_buffers(
                name,
                [_buffer(index, *pair) for index, pair in enumerate(zip(seeds, episodes, strict=True))],
                env=gymnasium.make(scenario.environment, scenario=scenario),
                algorithm_name=algorithm,
                description=f"{len(episodes)} episodes of scenario {scenario.name!r} played by {algorithm}.",
                requirements=[f"edgelearn-env=={importlib.metadata.version('edgelearn-env')}"],
            )
        except BaseException:
            shutil.rmtree(_folder(name), ignore_errors=True)
            raise


def _observations(codec: Codec, tapes: Tape, trajectory: Trajectory) -> np.ndarray:
    """What is observed before each round and after the last, (B, T + 1, 5 + 3 K)."""
    last = trajectory.final_state
    before = [
        mapped(lambda array, t=t: array[:, t], trajectory.observed) for t in range(trajectory.outcomes.reward.shape[1])
    ]
    seen = [*before, Observed(last, tapes.conditions(last.round_index))]
    return np.stack([codec.encode(*observed) for observed in seen], axis=1)


def _buffer(index: int, seed: int, episode: RecordedEpisode) -> Any:
    from minari.data_collector import EpisodeBuffer

    ended = np.arange(len(episode.rewards)) == len(episode.rewards) - 1
    return EpisodeBuffer(
        id=index,
        seed=seed,
        observations=list(episode.observations),
        actions=list(episode.actions),
        rewards=episode.rewards.tolist(),
        terminations=ended.tolist(),
        truncations=np.zeros_like(ended).tolist(),
    )


def _folder(name: str) -> Any:
    """Where Minari keeps a dataset: within $MINARI_DATASETS_PATH, or ~/.minari/datasets."""
    from minari.storage import get_dataset_path

    return get_dataset_path(name)


def _require_minari() -> None:
    try:
        import h5py  # noqa: F401
        import minari  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("datasets need Minari: pip install 'edgelearn-env[offline]'") from error
