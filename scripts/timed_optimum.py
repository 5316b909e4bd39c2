"""`edgelearn speed`: how fast things are on this machine, measured in one run and put in proportion."""

import os
import platform
import time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines.clairvoyant import clairvoyant
from edgelearn_env.baselines.planned_episode import PlannedEpisode
from edgelearn_env.baselines.program import EpisodeProgram
from edgelearn_env.baselines.reach import within_reach
from edgelearn_env.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.seeds import test_seeds
from edgelearn_env.tape import Tape, sample_tape


def speed(
    scenario: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    tapes: Annotated[int, typer.Option(min=1, help="Tapes whose optimum is timed.")] = 20,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs (M, N) a grid is extrapolated from.")] = 60,
) -> None:
    """Time the proven optimum of a tape against solving every pair (M, N) of it."""
    system = chosen_scenario(scenario, changes, objective)
    sampled = [sample_tape(system, seed) for seed in test_seeds(tapes)]
    # The first solve of a process loads the solver.
    clairvoyant(Scenario.preset("tiny"), sample_tape(Scenario.preset("tiny"), 0))
    with Progress(transient=True) as progress:
        proven_s, solved, gaps = [], [], []
        for tape in progress.track(sampled, description="proving optima"):
            start_s = time.perf_counter()
            certificate = clairvoyant(system, tape).certificate
            proven_s.append(time.perf_counter() - start_s)
            solved.append(certificate.num_solved)
            gaps.append(certificate.gap)
        chosen, num_pairs = _random_pairs(system, sampled[0], pairs)
        pair_s = [_solve_s(system, sampled[0], *pair) for pair in progress.track(chosen, description="solving pairs")]
    table = Table(
        title=f"{system.name} on {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    for heading in ("optimum of a tape", "median", "range"):
        table.add_column(heading, justify="left" if heading.startswith("optimum") else "right")
    table.add_row("proven, s", f"{np.median(proven_s):.2f}", f"{min(proven_s):.2f} to {max(proven_s):.2f}")
    table.add_row("programs solved", f"{np.median(solved):.0f}", f"{min(solved)} to {max(solved)}")
    table.add_row("gap", f"{np.median(gaps):.1e}", f"{min(gaps):.1e} to {max(gaps):.1e}")
    grid_s = num_pairs * float(np.mean(pair_s))
    table.add_row(f"grid of {num_pairs} programs, s", f"{grid_s:.0f}", f"extrapolated from {len(pair_s)} pairs")
    table.add_row("grid / proven", f"{grid_s / np.median(proven_s):.0f}", "")
    Console().print(table)


def _random_pairs(scenario: Scenario, tape: Tape, count: int) -> tuple[np.ndarray, int]:
    """Some of the pairs that budgets and batteries do not rule out by themselves, and how many there are."""
    horizon = scenario.budgets.max_rounds
    reach = np.argwhere(within_reach(_episode(scenario, tape, 0, horizon)))[1:]
    return np.random.default_rng(0).permutation(reach)[:count], len(reach)


def _solve_s(scenario: Scenario, tape: Tape, num_pretrain: int, num_finetune: int) -> float:
    start_s = time.perf_counter()
    EpisodeProgram(_episode(scenario, tape, int(num_pretrain), int(num_finetune))).solve()
    return time.perf_counter() - start_s


def _episode(scenario: Scenario, tape: Tape, num_pretrain: int, num_finetune: int) -> PlannedEpisode:
    return PlannedEpisode(
        scenario=scenario, tape=tape, num_pretrain_rounds=num_pretrain, num_finetune_rounds=num_finetune
    )
