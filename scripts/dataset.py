"""`edgelearn dataset`: episodes of a policy as a Minari dataset, for offline reinforcement learning."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from edgelearn_env.baselines.two_stage.clairvoyant.batch import clairvoyant_batch
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.offline import (
    RecordedEpisode,
    create_minari_dataset,
    recorded_episodes,
    require_new_dataset,
)
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, Workers, chosen_scenario
from edgelearn_env.scripts.play import each_its_own, play
from edgelearn_env.scripts.policies import NAMES, named_policies
from edgelearn_env.tapes.seeds import training_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Policy


def dataset(
    name: Annotated[str, typer.Option(help="Such as edgelearn/two-stage/default-mpc-v0.")],
    policy: Annotated[
        str, typer.Option(help=f"clairvoyant, {', '.join(NAMES)}, or a file that `train` wrote.")
    ] = "clairvoyant",
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    episodes: Annotated[int, typer.Option(min=1, help="Number of episodes.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the first episode's tape; each episode has the next one.")] = 0,
    workers: Workers = None,
) -> None:
    """Write episodes of a policy, on training tapes, as a dataset that `minari.load_dataset` reads."""
    scenario = chosen_scenario(scenario_name, changes, objective)
    seeds = training_seeds(episodes, seed)
    require_new_dataset(name)
    tapes = Tape.stack([sample_tape(scenario, number) for number in seeds])
    output = Output()
    with progress_on(output) as progress:
        playing = _policy(policy, scenario, tapes, workers, progress)
        recorded = list(_recorded(scenario, tapes, playing, workers, progress))
        create_minari_dataset(name, scenario, seeds, recorded, policy)
    rounds = sum(len(episode.rewards) for episode in recorded)
    mean = np.mean([np.sum(episode.rewards) for episode in recorded])
    output.say(f"Wrote {name}: {episodes} episodes, {rounds} rounds, mean return {mean:.4f}")


def _policy(name: str, scenario: Scenario, tapes: Tape, workers: int | None, progress: Progress) -> Policy:
    """What plays: the clairvoyant plan of every tape, or an online policy."""
    if name == "clairvoyant":
        total = len(tapes.channel_gain)
        optima = clairvoyant_batch(scenario, tapes, num_workers=workers)
        plans = [
            optimum.whole_plan for optimum in progress.track(optima, total=total, description="solving every tape")
        ]
        return each_its_own(plans)
    chosen = [run for named in named_policies(scenario, [name], progress) for run in named.runs]
    if len(chosen) != 1:
        raise InvalidInputError(f"--policy must name one policy, got {name!r}")
    return chosen[0]


def _recorded(
    scenario: Scenario, tapes: Tape, policy: Policy, workers: int | None, progress: Progress
) -> Iterator[RecordedEpisode]:
    batches, total = play(recorded_episodes, scenario, tapes, policy, workers)
    for batch in progress.track(batches, total=total, description="playing"):
        yield from batch
