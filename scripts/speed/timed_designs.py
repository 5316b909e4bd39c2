"""How long the static joint design takes, against successive convex approximation with a search over (M, N)."""

import functools

import numpy as np
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines.two_stage.static.design import static_design
from edgelearn_env.baselines.two_stage.static.sca_design import sca_design
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scripts.speed.timing import seconds_of
from edgelearn_env.stages.bounds import BOUNDS
from edgelearn_env.two_stage.scenario import TwoStageScenario

_REPEATS = 9


def timed_designs(scenario: TwoStageScenario, progress: Progress) -> Table:
    """Both designs of the scenario with each objective, side by side; the static one is the median of several runs."""
    table = table_of("design", "static, ms", "SCA, ms", "SCA / static", "Phi static / SCA - 1", "proven gap")
    for objective in progress.track(BOUNDS, description="designing"):
        variant = scenario.replace(learning={"objective": objective})
        design = static_design(variant)
        times_s = [seconds_of(functools.partial(static_design, variant))[0] for _ in range(_REPEATS)]
        static_s = float(np.median(times_s))
        sca_s, reference = seconds_of(functools.partial(sca_design, variant))
        table.add_row(
            objective,
            f"{1e3 * static_s:.1f}",
            f"{1e3 * sca_s:.0f}",
            f"{sca_s / static_s:.0f}",
            f"{design.value / reference.value - 1:+.1e}",
            f"{design.integer_loss:.1e}",
        )
    return table
