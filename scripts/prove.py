"""`edgelearn prove`: proofs of test tapes, kept where every benchmark finds them."""

from pathlib import Path
from typing import Annotated

import typer

from edgelearn_env.baselines.optimum_cache import cached_optima
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import writable_folder
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.scripts.backends import Address, Backend, work_shared_by
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, Workers, chosen_scenario
from edgelearn_env.scripts.proofs.proven_tapes import ProvenTapes
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import sample_tape


def prove(
    out: Annotated[Path, typer.Option(help="File to write, such as scripts/proofs/default.json in a clone.")],
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    episodes: Annotated[int, typer.Option(min=1, help="Number of test tapes.")] = 200,
    workers: Workers = None,
    backend: Backend = "processes",
    address: Address = None,
    optima: Annotated[Path, typer.Option(help="Folder of proven optima; none of these is solved again.")] = Path(
        "results/optima"
    ),
) -> None:
    """Prove the optimum of every test tape, for benchmarks to start from; goes on where it stopped."""
    scenario, seeds = chosen_scenario(scenario_name, changes, objective), test_seeds(episodes)
    tapes, output = [sample_tape(scenario, seed) for seed in seeds], Output()
    if out.is_dir():
        raise InvalidInputError(f"--out must name a file, got the folder {str(out)!r}")
    writable_folder(out.parent)
    with work_shared_by(backend, address), progress_on(output) as progress:
        found = cached_optima(scenario, seeds, optima, tapes=tapes, num_workers=workers)
        proven = list(progress.track(found, total=episodes, description="proving the optimum of each tape"))
        ProvenTapes.of(scenario, seeds, tapes, proven).save(out)
    output.say(f"Wrote {out}")
