"""Imitation: first of plans that know the tape, then of an expert that says what it would have done instead.

* *Behaviour cloning*: what the clairvoyant plans do on training tapes, round by round.
* *DAgger* (Ross, Gordon and Bagnell, 2011): the actor plays further tapes, an online expert is asked in every round for
  its own decision, and the actor learns from all rounds so far. Only the switch is the expert's, and the net that
  is chosen with it, since what it would do in the other stage or with another net says nothing.

Decisions are compared as actions, by their squared distance, and only those that count in their stage; of a device that
is to sit a round out, its batch alone. The switch entry is to say how far away the switch is, in tens of rounds: a
threshold learnt from one round in an episode would be noise.

Neither plans nor expert are this module's: they come as `Teachers`, from whoever calls it. Runs go on after an
interruption from the last judgement, to the last bit as if there had been none.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.agents.actor.actor import codec_of
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.configs.imitation import ImitationConfig
from edgelearn_env.agents.runs.training_run import CurvePoint, Result, TrainingRun, logged
from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import MissingExtraError
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.stages.encoding import STAGED_LAYOUT
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Policy, Trajectory, rollout

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch is not installed: pip install 'edgelearn-env[agents]'") from error

from edgelearn_env.agents.actor.module import ActorModule
from edgelearn_env.agents.runs.torch_threads import torch_threads

# The switch entry counts rounds from the switch on in units of so many.
_SWITCH_SCALE = 10.0

# What is decided once: when to switch, and to which net.
_WITH_SWITCH = ("switch", "depth")

# Tapes played together: few enough to show progress.
_TAPES_TOGETHER = 8


class Teachers(NamedTuple):
    """Whom to imitate.

    Attributes:
        plans: of the scenario and tapes, (B, T, K): a policy for each tape in turn, to be played on it.
        expert: an online policy; it is asked about rounds that another plays.
    """

    plans: Callable[[StagedScenario, Tape], Iterable[Policy]]
    expert: Policy


class Lessons(NamedTuple):
    """Rounds to learn from, as float32 tensors.

    Attributes:
        observations: (n, observation_size).
        actions: what should be done, (n, action_size).
        weights: of each entry's squared error; 0 where it decides nothing, (n, action_size).
    """

    observations: torch.Tensor
    actions: torch.Tensor
    weights: torch.Tensor


def train(
    config: ImitationConfig,
    directory: str | Path,
    teachers: Teachers,
    *,
    fresh: bool = False,
    on_progress: Callable[[CurvePoint], object] = lambda progress: None,
) -> Result:
    """Train, or go on with the run in `directory`; an interrupt (Ctrl-C) saves and returns.

    Seeds the global generator of torch.

    Args:
        config: choices; to go on, all but `num_threads` must be those the run was begun with.
        directory: of the run's files.
        teachers: whom to imitate.
        fresh: begin anew, whatever the directory holds.
        on_progress: called after each tape and each update.

    Raises:
        InvalidInputError: the directory holds a run with other choices, or a damaged one.
    """
    with torch_threads(config.num_threads), logged(config, Path(directory)) as log:
        run = _Run(config, Path(directory), teachers, lambda progress: (log(progress), on_progress(progress)))
        if not fresh:
            run.restore()
        return run.finish()


class _Run:
    """A run in progress."""

    def __init__(
        self,
        config: ImitationConfig,
        directory: Path,
        teachers: Teachers,
        on_progress: Callable[[CurvePoint], object],
    ) -> None:
        torch.manual_seed(config.seed)
        self._config, self._scenario = config, config.loaded_scenario
        self._codec = codec_of(self._scenario)
        self._teachers, self._on_progress = teachers, on_progress
        self._kept = TrainingRun("imitation", config, directory)
        self._actor = ActorModule(starting_point(self._scenario), config.hidden)
        self._optimizer = torch.optim.Adam(self._actor.parameters(), lr=config.learning_rate)
        self._lessons: Lessons | None = None
        self._num_tapes, self._update, self._steps, self._mean_return = 0, 0, 0, float("nan")

    def finish(self) -> Result:
        """Train until the last update or an interrupt."""
        config = self._config

        def learn() -> None:
            self._note()
            while self._update < config.num_updates:
                if self._update % config.updates_each == 0:
                    self._be_taught()
                self._improve()
                self._report()
                if self._update % config.validate_every == 0 or self._update == config.num_updates:
                    self._note()

        return self._kept.result_of(learn)

    def restore(self) -> None:
        """Go on where the directory's snapshot was taken, if it has one."""
        saved = self._kept.restored()
        if saved is None:
            return
        self._actor.load_state_dict(saved["actor"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._lessons = saved["lessons"]
        self._num_tapes, self._update, self._steps, self._mean_return = saved["counters"]
        torch.set_rng_state(saved["torch"])

    def _note(self) -> None:
        """Judge the state, unless that is done, and write down where to go on."""
        curve, share = self._kept.curve, self._share()
        if curve and curve[-1].share == share:
            return
        self._kept.judge(self._actor.actor(), share, self._steps, self._mean_return)
        self._kept.remember(
            {
                "actor": self._actor.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "lessons": self._lessons,
                "counters": (self._num_tapes, self._update, self._steps, self._mean_return),
                "torch": torch.get_rng_state(),
            }
        )
        self._kept.write_snapshot()

    def _share(self) -> float:
        """Gathering and learning take about equally long."""
        return (self._num_tapes / self._config.num_tapes + self._update / self._config.num_updates) / 2

    def _report(self) -> None:
        self._on_progress(self._kept.progress(self._share(), self._steps, self._mean_return))

    def _be_taught(self) -> None:
        """Have plans made if there are no lessons yet; else play, and have that corrected."""
        known, returns = [] if self._lessons is None else [self._lessons], []
        for lessons, played in self._demonstrated() if self._lessons is None else self._corrected():
            known.append(lessons)
            returns.extend(played.outcomes.reward.sum(axis=1).tolist())
            self._num_tapes += len(played.objective)
            self._steps += len(lessons.observations)
            self._mean_return = float(np.mean(returns))
            self._report()
        self._lessons = mapped(lambda *parts: torch.cat(parts), *known)

    def _demonstrated(self) -> Iterator[tuple[Lessons, Trajectory]]:
        tapes = self._tapes(self._config.num_demonstrations)
        alone = (Tape.stack([tape]) for tape in tapes.each())
        for tape, plan in zip(alone, self._teachers.plans(self._scenario, tapes), strict=True):
            yield lessons_of(self._codec, tape, plan)

    def _corrected(self) -> Iterator[tuple[Lessons, Trajectory]]:
        player, remaining = self._actor.actor().policy(self._scenario, trims=True), self._config.num_corrections
        while remaining:
            count = min(remaining, _TAPES_TOGETHER)
            yield lessons_of(self._codec, self._tapes(count), self._teachers.expert, player)
            remaining -= count

    def _tapes(self, count: int) -> Tape:
        """The next so many of the seed's own sequence."""
        episodes = range(self._num_tapes, self._num_tapes + count)
        return Tape.stack([sample_tape(self._scenario, self._config.seed, episode) for episode in episodes])

    def _improve(self) -> None:
        """One gradient step on rounds drawn from all lessons."""
        config, lessons = self._config, self._lessons
        assert lessons is not None
        done = self._update % config.updates_each / config.updates_each
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - done)
        drawn = torch.randint(len(lessons.observations), (config.minibatch_size,))
        observations, actions, weights = (part[drawn] for part in lessons)
        loss = (weights * (self._actor(observations) - actions) ** 2).sum(dim=1).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._update += 1


def lessons_of(codec: Any, tapes: Tape, teacher: Policy, player: Policy | None = None) -> tuple[Lessons, Trajectory]:
    """What a teacher would do in each round that counts.

    Args:
        codec: of the scenario, as `codec_of` has it.
        tapes: of shape (B, T, K).
        teacher: who decides, or is only asked.
        player: who then decides all but the switch and the net.
    """
    taught: list[tuple[np.ndarray, np.ndarray]] = []

    def played(observed: Observed) -> Allocation:
        advised: Allocation = teacher(observed)
        taught.append((codec.encode_action(advised), advised.batch >= 1))
        if player is None:
            return advised
        decided: Allocation = player(observed)
        with_switch = [name for name in _WITH_SWITCH if name in decided._fields]
        return decided._replace(**{name: getattr(advised, name) for name in with_switch})

    trajectory = rollout(codec.scenario, tapes, played)
    counted, state = trajectory.outcomes.counted, trajectory.observed.state
    actions, takes_part = (np.stack(parts, axis=1) for parts in zip(*taught, strict=True))
    since_switch = state.round_index - trajectory.num_pretrain_rounds[:, None] + 0.5
    actions[..., 0] = np.clip(since_switch / _SWITCH_SCALE, -1.0, 1.0)
    switched = trajectory.num_finetune_rounds[:, None] > 0
    weights = _weights(codec, takes_part, since_switch, ~state.finetuning & switched)
    observed = mapped(lambda array: array[counted], trajectory.observed)
    parts = codec.encode(*observed), actions[counted], weights[counted]
    return Lessons(*map(torch.tensor, parts)), trajectory


def _weights(codec: Any, takes_part: np.ndarray, since_switch: np.ndarray, switches: np.ndarray) -> np.ndarray:
    """What the squared error of each entry counts in each round, (B, T, action_size).

    Args:
        codec: of the scenario.
        takes_part: whom the teacher asks to, (B, T, K).
        since_switch: rounds until the middle of this one, (B, T).
        switches: where the switch is decided, (B, T).
    """
    for_all, for_device = STAGED_LAYOUT.decided_for_all, STAGED_LAYOUT.decided_for_device
    # Of a device that is to be silent only the batch says something.
    device = [takes_part] * (for_device - 1) + [np.ones_like(takes_part)]
    device_added = [takes_part] * (codec.layout.decided_for_device - for_device)
    of_device = (since_switch > 0)[..., None] / codec.scenario.num_devices
    parts = [
        switches[..., None],
        np.repeat((since_switch < 0)[..., None], for_all - 1, axis=2),
        *(each * of_device for each in device),
        np.repeat(switches[..., None], codec.layout.decided_for_all - for_all, axis=2),
        *(each * of_device for each in device_added),
    ]
    return np.concatenate(parts, axis=2, dtype=np.float32)
