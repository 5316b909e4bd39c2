"""How long the proven optimum of a tape takes, against solving every pair (M, N) of it."""

import functools

import numpy as np
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines.two_stage.clairvoyant.reach import within_reach
from edgelearn_env.baselines.two_stage.clairvoyant.search import clairvoyant
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scripts.speed.timing import seconds_of
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.two_stage.scenario import TwoStageScenario


def timed_optimum(scenario: TwoStageScenario, num_tapes: int, num_pairs: int, progress: Progress) -> Table:
    """Time to prove the optimum of each of some tapes; that of the grid is extrapolated from some of its pairs."""
    tapes = [sample_tape(scenario, seed) for seed in test_seeds(num_tapes)]
    # The first solve of a process loads the solver.
    clairvoyant(TwoStageScenario.preset("tiny"), sample_tape(TwoStageScenario.preset("tiny"), 0))
    proven_s, certificates = [], []
    for tape in progress.track(tapes, description="proving optima"):
        elapsed_s, optimum = seconds_of(functools.partial(clairvoyant, scenario, tape))
        proven_s.append(elapsed_s)
        certificates.append(optimum.certificate)
    reach = _pairs_in_reach(scenario, tapes[0])
    chosen = np.random.default_rng(0).permutation(reach)[:num_pairs]
    pair_s = [_solve_s(scenario, tapes[0], *pair) for pair in progress.track(chosen, description="solving pairs")]
    grid_s = len(reach) * float(np.mean(pair_s))
    table = table_of("the optimum of a tape", "median", "range")
    for label, values, form in (
        ("proven, s", proven_s, ".2f"),
        ("programs solved", [certificate.num_solved for certificate in certificates], ".0f"),
        ("gap", [certificate.gap for certificate in certificates], ".1e"),
    ):
        table.add_row(label, format(np.median(values), form), f"{min(values):{form}} to {max(values):{form}}")
    table.add_row(f"grid of {len(reach)} programs, s", f"{grid_s:.0f}", f"extrapolated from {len(pair_s)} pairs")
    table.add_row("grid / proven", f"{grid_s / np.median(proven_s):.0f}", "")
    return table


def _pairs_in_reach(scenario: TwoStageScenario, tape: Tape) -> np.ndarray:
    """The pairs that budgets and batteries do not rule out by themselves, less the one without any round, (P, 2)."""
    return np.argwhere(within_reach(_episode(scenario, tape, 0, scenario.budgets.max_rounds)))[1:]


def _solve_s(scenario: TwoStageScenario, tape: Tape, num_pretrain: int, num_finetune: int) -> float:
    return seconds_of(lambda: EpisodeProgram(_episode(scenario, tape, int(num_pretrain), int(num_finetune))).solve())[0]


def _episode(scenario: TwoStageScenario, tape: Tape, num_pretrain: int, num_finetune: int) -> PlannedEpisode:
    return PlannedEpisode(
        scenario=scenario, tape=tape, num_pretrain_rounds=num_pretrain, num_finetune_rounds=num_finetune
    )
