"""A variant with one seed: its step size is tuned with the first seed, on validation data."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from edgelearn_env.federated.study.bench import NetKey, bench_of
from edgelearn_env.federated.study.plan import StudyPlan
from edgelearn_env.federated.study.runs import Run, RunKey, before_finetuning, study_run
from edgelearn_env.federated.study.table import tuned_step_size
from edgelearn_env.federated.study.variants import Variant

# Where the search for a step size begins.
_FIRST_GUESS = {"blocks": 0.2, "pairs": 0.8, "rolling": 0.2}


class Task(NamedTuple):
    """A variant to run, or a net as it is.

    Attributes:
        part: of the study.
        data: name of the data.
        depth: of the net.
        variant: None for the net before fine-tuning.
        seed: of pre-training, cohorts and draws.
    """

    part: str
    data: str
    depth: int
    variant: Variant | None
    seed: int


def runs_of(folder: Path, plan: StudyPlan, task: Task, known: Mapping[RunKey, Run]) -> list[Run]:
    """The runs that a task takes, the one that it is about last.

    Args:
        folder: of the study, with its pre-trained nets.
        plan: how much to do.
        task: what to run.
        known: runs that need not be made.
    """
    net = NetKey(task.data, task.depth, task.seed)
    variant, made = task.variant, dict[RunKey, Run]()
    if variant is None:
        key = RunKey(task.part, task.data, f"before fine-tuning, {task.depth}", task.seed, 0.0)
        return [known[key] if key in known else before_finetuning(bench_of(folder, net), plan, key)]

    def run(seed: int, step_size: float) -> Run:
        key = RunKey(task.part, task.data, variant.name, seed, step_size)
        if key not in made:
            bench = None if key in known else bench_of(folder, net._replace(seed=seed))
            made[key] = known[key] if bench is None else study_run(bench, variant, plan, task.part, seed, step_size)
        return made[key]

    sizes, first = plan.step_sizes, plan.seeds[0]
    start = min(sizes, key=lambda size: abs(size - _FIRST_GUESS[variant.family]))
    best = tuned_step_size(lambda size: run(first, size).validation_bits, sizes, start)
    final = run(task.seed, best)
    return [*(each for each in made.values() if each is not final), final]
