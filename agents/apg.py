"""Analytic policy gradients (APG): the gradient of log Phi, through whole episodes as tensors.

Rounds are differentiable in all that is decided but where an episode takes a step: the switch, the budgets' ends, and a
battery that does not cover a round. Training plays the same rounds with these three made smooth:

* *The switch* comes where its action crosses 0, which is within a round: of the last pre-training round the share until
  then is played.
* *Budgets*: episodes play on beyond them, and the round that passes one counts by the share x of it that still fits,
  log Phi = (1 - x) log Phi_before + x log Phi_after. So time and energy have a price to the very end.
* *Batteries*: whether a device takes part is s = 1 if its battery holds at least the round's energy e, else 0. That is
  what is played, but its derivative is that of

      s = 1 / (1 + exp(-(battery - e) / w)),   w = a share of the battery's capacity,

  in participation, gradient noise and energy alike. So charge has a price before it is lacking. The duration is not
  thought to depend on s: all are ready together, so that one more or fewer is no matter of time.

Who sits a round out by choice is decided by the actor and by `trimming`, and is a step without a derivative: where
taking part is worth no more than it costs, the step is none in log Phi.

Devices are ready together (`trimming`). That the last rounds will share what is left is no part of training: with their
number given, a second more would seem to be worth no more than what it adds to them. An actor starts at the static plan
(`starting_point`), or with the networks of a checkpoint. The environment itself judges the running average of its
weights, which decides which state is kept. Runs go on after an interruption, to the last bit as if there had been none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.actor.trimming import ready_together, worth_waiting_for
from edgelearn_env.agents.configs.apg import APGConfig
from edgelearn_env.agents.runs.checkpoint import RECIPES, load
from edgelearn_env.agents.runs.training_run import CurvePoint, Result, TrainingRun, logged
from edgelearn_env.arrays.records import mapped
from edgelearn_env.envs.tensors import straight_through  # first of those that need the extra, since it says so
from edgelearn_env.model import Observed, model_of
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation, State
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.stages.synchronous import finetune_round
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.two_stage.dynamics import step

import torch  # isort: skip
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # isort: skip

from edgelearn_env.arrays import torch_names  # isort: skip
from edgelearn_env.agents.actor.module import ActorModule  # isort: skip
from edgelearn_env.agents.runs.torch_threads import torch_threads  # isort: skip
from edgelearn_env.tapes.tensor_reader import TensorTapes, advanced  # isort: skip

# Far enough that a round which passes a budget is still played.
_BEYOND = 2.0

# Width of the step that a battery makes between taking part and silence, in capacities.
_WIDTH = 0.01

# A few episodes have gradients a hundred times as large as all others.
_MAX_GRADIENT_NORM = 10.0


def train(
    config: APGConfig,
    directory: str | Path,
    *,
    fresh: bool = False,
    on_progress: Callable[[CurvePoint], object] = lambda progress: None,
) -> Result:
    """Train, or go on with the run in `directory`; an interrupt (Ctrl-C) saves and returns.

    Seeds the global generator of torch.

    Args:
        config: choices; to go on, all but `num_threads` must be those the run was begun with.
        directory: of the run's files.
        fresh: begin anew, whatever the directory holds.
        on_progress: called after each update.

    Raises:
        InvalidInputError: the directory holds a run with other choices, or a damaged one; or networks of `begin_with`
            are of another size, or cannot be read.
    """
    with torch_threads(config.num_threads), logged(config, Path(directory)) as log:
        run = _Run(config, Path(directory))
        if not fresh:
            run.restore()
        return run.finish(lambda progress: (log(progress), on_progress(progress)))


class _Run:
    """A run in progress."""

    def __init__(self, config: APGConfig, directory: Path) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self._kept = TrainingRun("apg", config, directory)
        self._actor = ActorModule(starting_point(config.loaded_scenario), config.hidden)
        if config.begin_with is not None:
            name = config.begin_with
            file = f"{name}-{config.loaded_scenario.name}-{config.seed}" if name in RECIPES else name
            self._actor.take_networks(load(file).actor)
        self._average = AveragedModel(self._actor, multi_avg_fn=get_ema_multi_avg_fn(config.averaging))
        self._optimizer = torch.optim.Adam(self._actor.parameters(), lr=config.learning_rate)
        self._episodes = GradientEpisodes(config.loaded_scenario, config.num_tapes, config.seed)
        self._update, self._steps, self._mean_return = 0, 0, float("nan")

    def finish(self, on_progress: Callable[[CurvePoint], object]) -> Result:
        """Train until the last update or an interrupt."""

        def improve() -> None:
            while self._update < self._config.total_updates:
                self._note()
                self._improve()
                on_progress(self._kept.progress(self._share(), self._steps, self._mean_return))
            self._note()

        return self._kept.result_of(improve)

    def restore(self) -> None:
        """Go on where the directory's snapshot was taken, if it has one."""
        saved = self._kept.restored()
        if saved is None:
            return
        self._actor.load_state_dict(saved["actor"])
        self._average.load_state_dict(saved["average"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._episodes = saved["episodes"]
        self._update, self._steps, self._mean_return = saved["counters"]
        torch.set_rng_state(saved["torch"])

    def _note(self) -> None:
        """Judge the state if it is time, and remember it."""
        curve, last = self._kept.curve, self._update == self._config.total_updates
        judged = bool(curve) and curve[-1].steps == self._steps
        due = (last or self._update % self._config.validate_every == 0) and not judged
        if due:
            averaged: Any = self._average.module
            self._kept.judge(averaged.actor(), self._share(), self._steps, self._mean_return)
        self._kept.remember(
            {
                "actor": self._actor.state_dict(),
                "average": self._average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "episodes": self._episodes,
                "counters": (self._update, self._steps, self._mean_return),
                "torch": torch.get_rng_state(),
            }
        )
        if due:
            self._kept.write_snapshot()

    def _share(self) -> float:
        return self._update / self._config.total_updates

    def _improve(self) -> None:
        """One gradient step on fresh tapes."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * (1 - self._share())
        played = self._episodes.play_through(self._actor)
        loss = played.log_bound.mean()
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._actor.parameters(), _MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._average.update_parameters(self._actor)
        self._update += 1
        self._steps += played.num_steps
        self._mean_return = float((played.first_log_bound - played.log_bound.detach()).mean())


class Played(NamedTuple):
    """Episodes that were played through, differentiable in the actor's parameters, (B,) each.

    Attributes:
        log_bound: log Phi, the round that passes a budget counted by its share.
        first_log_bound: log Psi_0.
        num_steps: rounds played, all episodes together.
    """

    log_bound: torch.Tensor
    first_log_bound: torch.Tensor
    num_steps: int


class GradientEpisodes:
    """Episodes on training tapes, played with gradients.

    Args:
        scenario: the system.
        num_tapes: B, played at a time.
        seed: of `tape_seeds`, whose sequences are played.
    """

    def __init__(self, scenario: StagedScenario, num_tapes: int, seed: int) -> None:
        budgets = scenario.budgets
        further = {"delay_s": _BEYOND * budgets.delay_s, "energy_j": _BEYOND * budgets.energy_j}
        self._budgets, self._num_tapes = budgets, num_tapes
        self._model = model_of(scenario, xp=torch_names)
        self._codec = self._model.codec
        self._constants = constants_of(scenario.replace(budgets=further), torch_names)
        self._tapes = TensorTapes(self._model, num_tapes, "cpu")
        self._tapes.name_sequences(tape_seeds(seed, num_tapes))
        self._width_j = _WIDTH * self._constants.battery_capacity_j

    def play_through(self, actor: ActorModule) -> Played:
        """Play the next tape of each sequence to its end."""
        self._tapes.begin()
        reading = self._tapes.reading
        state = initial_state(self._constants, self._num_tapes)
        first = log_bound = self._log_bound(state)
        running = torch.ones(self._num_tapes, dtype=torch.bool)
        action = actor(self._codec.encode(state, reading.conditions))
        switch = action[:, 0] > 0
        num_steps = 0
        while running.any():
            decided = straight_through(self._codec, action)._replace(switch=switch)
            after = self._after(Observed(state, reading.conditions), decided)
            reading = advanced(self._model, reading, after.round_index, after.ended, begin_next=False)
            following = actor(self._codec.encode(after, reading.conditions))
            switch = after.finetuning | (following[:, 0] > 0)
            crossing = running & switch & ~after.finetuning & ~after.ended
            if crossing.any():
                after = _part_of_round(state, after, share_before_switch(action, following, crossing))
                following = actor(self._codec.encode(after, reading.conditions))
            passed, value = self._end(state, after)
            log_bound = torch.where(running, value, log_bound)
            num_steps += int(running.sum())
            running = running & ~(passed | after.ended)
            state, action = after, following
        return Played(log_bound, first, num_steps)

    def _after(self, observed: Observed, decided: Allocation) -> State:
        """The state after a round of those that are worth waiting for, ready together."""
        constants, state = self._constants, observed.state
        if not decided.switch.any():
            return step(constants, state, observed.conditions, decided)[0]
        with torch.no_grad():
            kept = worth_waiting_for(constants, self._budgets, observed, decided)
        played = ready_together(constants, observed, decided._replace(batch=torch.where(kept, decided.batch, 0.0)))
        after, outcome = step(constants, state, observed.conditions, played)
        asked = (outcome.counted & after.finetuning)[:, None] & (played.batch >= 1)
        return self._with_slopes(after, observed, played, asked)

    def _with_slopes(self, after: State, observed: Observed, played: Allocation, asked: torch.Tensor) -> State:
        """The state after a round with the derivatives of the share of each device that was to take part, (B, K)."""
        constants, bound, terms = self._constants, self._constants.bound, after.bound_terms
        battery_j, participation = observed.state.battery_j, observed.state.bound_terms.participation
        # What it would cost if there were charge enough.
        ample = torch.full_like(battery_j, torch.inf)
        devices = finetune_round(constants, ample, observed.conditions, played)
        energy_j = devices.compute_j + devices.upload_j
        share = torch.where(asked, torch.sigmoid((battery_j - energy_j) / self._width_j), 0.0)
        # Numbers that are 0, but for their derivatives.
        slope = share - share.detach()
        spent_j = slope * energy_j.detach()
        noise = (slope * constants.gradient_noise_weight / played.batch.detach().clamp(min=1.0)).sum(dim=1)
        more, done = (slope * constants.device_weight).sum(dim=1), (terms.participation - participation).detach()
        added = bound.finetune_round(noise, done + more) - bound.finetune_round(torch.zeros_like(noise), done)
        return after._replace(
            spent_j=after.spent_j + spent_j.sum(dim=1),
            battery_j=after.battery_j - spent_j,
            bound_terms=terms._replace(
                finetune_term=terms.finetune_term + added, participation=terms.participation + more
            ),
        )

    def _end(self, before: State, after: State) -> tuple[torch.Tensor, torch.Tensor]:
        """Whether a round has passed a budget, and log Phi after what fits of it, (B,) each."""
        budgets = self._budgets
        passed = (after.elapsed_s > budgets.delay_s) | (after.spent_j > budgets.energy_j)
        parts = (
            (budgets.delay_s - before.elapsed_s, after.elapsed_s - before.elapsed_s),
            (budgets.energy_j - before.spent_j, after.spent_j - before.spent_j),
        )
        shares = [left / torch.where(used > 0, used, 1.0) for left, used in parts]
        share = torch.where(passed, torch.minimum(*shares).clamp(0.0, 1.0), 1.0)
        return passed, (1 - share) * self._log_bound(before) + share * self._log_bound(after)

    def _log_bound(self, state: State) -> torch.Tensor:
        return torch.log(self._constants.bound.value(state.bound_terms))


def tape_seeds(seed: int, count: int) -> np.ndarray:
    """Different seeds of training tapes, in which two runs have hardly any in common, (count,)."""
    return np.random.default_rng(seed).choice(TUNING, count, replace=False)


def share_before_switch(action: torch.Tensor, following: torch.Tensor, crossing: torch.Tensor) -> torch.Tensor:
    """Of a round between two actions, the share until the switch's entry crosses 0, if it does; else all, (B,)."""
    # Elsewhere the divisor may be 0, whose derivative would spoil all.
    rise = torch.where(crossing, following[:, 0] - action[:, 0], 1.0)
    return torch.where(crossing, -action[:, 0] / rise, 1.0)


def _part_of_round(before: State, after: State, share: torch.Tensor) -> State:
    """The state once a share of a round is played, (B,)."""

    def part(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        if not last.dtype.is_floating_point:
            return last
        return first + (share[:, None] if last.ndim == 2 else share) * (last - first)

    return mapped(part, before, after)
