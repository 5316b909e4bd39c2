"""How long the proven optimum of a tape takes, to the gap that is the default and to a wide one."""

import functools

import numpy as np
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines.optimum import Certificate
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scripts.speed.timing import seconds_of
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.two_stage.scenario import TwoStageScenario

_WIDE = 1e-2


def timed_optimum(scenario: TwoStageScenario, num_tapes: int, progress: Progress) -> Table:
    """Time to prove the optimum of each of some tapes, and what the proofs come to."""
    tapes = [sample_tape(scenario, seed) for seed in test_seeds(num_tapes)]
    # The first solve of a process loads the solver.
    clairvoyant(TwoStageScenario.preset("tiny"), sample_tape(TwoStageScenario.preset("tiny"), 0))
    proven_s: list[float] = []
    wide_s: list[float] = []
    certificates: list[Certificate] = []
    for tape in progress.track(tapes, description="proving optima"):
        elapsed_s, optimum = seconds_of(functools.partial(clairvoyant, scenario, tape))
        proven_s.append(elapsed_s)
        certificates.append(optimum.certificate)
        wide_s.append(seconds_of(functools.partial(clairvoyant, scenario, tape, gap=_WIDE))[0])
    table = table_of("the optimum of a tape", "median", "range")
    for label, values, form in (
        ("proven, s", proven_s, ".2f"),
        ("programs solved", [certificate.num_solved for certificate in certificates], ".0f"),
        ("gap", [certificate.gap for certificate in certificates], ".1e"),
        (f"proven to {_WIDE:.0%}, s", wide_s, ".2f"),
    ):
        table.add_row(label, format(np.median(values), form), f"{min(values):{form}} to {max(values):{form}}")
    return table
