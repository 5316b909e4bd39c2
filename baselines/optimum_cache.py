"""Proven optima kept on disk, so that nothing is solved twice."""

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.baselines.clairvoyance import clairvoyant_batch
from edgelearn_env.baselines.optimum import Optimum
from edgelearn_env.baselines.provenance import source_digest
from edgelearn_env.files import written_atomically
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario, system_of
from edgelearn_env.scenarios.systems import located
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

# What proves nothing. A proof is prices, which prove the same whoever found them, and a plan, which is played: so
# neither the solvers of programs that both come from count, whose prices are checked where they are taken over, nor
# what agents see of a round, nor other ways to play it.
_PROVES_NOTHING = (
    "edgelearn_env.baselines.one_thread",
    "edgelearn_env.baselines.solvers",
    "edgelearn_env.baselines.stages.clairvoyant.whole_batches",
    "edgelearn_env.baselines.stages.conic.*",
    "edgelearn_env.baselines.stages.structured.*",
    "edgelearn_env.*.encoding",
    "edgelearn_env.*.info",
    "edgelearn_env.*.kernels",
    "edgelearn_env.array_episodes",
    "edgelearn_env.tapes.reader",
    "edgelearn_env.scenarios.systems",
)


def cached_optima(
    scenario: Scenario,
    seeds: Sequence[int],
    folder: str | Path,
    *,
    tapes: Sequence[Tape] | None = None,
    num_workers: int | None = None,
) -> Iterator[Optimum]:
    """The optimum of each seed's tape in turn: read from `folder` if it is there, else solved and written to it.

    A file is named after its seed and a digest of all that the optimum follows from: the scenario, the tape, and the
    sources of the model and of the solver, so that a proof does not outlive its prover. What cannot be read, or
    replayed by the dynamics as they are now, is solved again.

    Args:
        scenario: of any system.
        seeds: of the tapes.
        folder: of one file for each optimum; made if it is missing.
        tapes: of those seeds, if they are drawn already.
        num_workers: as for `clairvoyant_batch`.
    """
    if tapes is None:
        tapes = [sample_tape(scenario, seed) for seed in seeds]
    paths = [
        Path(folder) / f"{seed}-{optimum_digest(scenario, tape)}.npz" for seed, tape in zip(seeds, tapes, strict=True)
    ]
    known = [_replayable(_read(path, scenario), scenario, tape) for path, tape in zip(paths, tapes, strict=True)]
    missing = [tape for tape, optimum in zip(tapes, known, strict=True) if optimum is None]
    solved = clairvoyant_batch(scenario, Tape.stack(missing), num_workers=num_workers) if missing else iter(())
    for path, found in zip(paths, known, strict=True):
        yield found if found is not None else _written(path, next(solved))


def optimum_digest(scenario: Scenario, tape: Tape) -> str:
    """Sixteen hexadecimal digits that differ wherever the optimum might."""
    fields = {name: part for name, part in scenario.to_dict().items() if name != "name"}
    version = importlib.metadata.version("edgelearn-env")
    content = hashlib.sha256(json.dumps([version, _prover_digest(scenario), fields], sort_keys=True).encode())
    for array in arrays_of(tape):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def _prover_digest(scenario: Scenario) -> str:
    """Of the sources that decide what is optimal, and that prove it."""
    system = system_of(scenario)
    modules = (place.partition(":")[0] for place in (system.scenario, system.optimum, system.optimum_record))
    played_by = type(model_of(scenario, "numpy")).__module__
    return source_digest("edgelearn_env.trajectory", played_by, *modules, without=_PROVES_NOTHING)


def _written(path: Path, optimum: Optimum) -> Optimum:
    """`optimum`, once it is in a file."""
    arrays: dict[str, Any] = optimum.to_arrays()
    with written_atomically(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    return optimum


def _read(path: Path, scenario: Scenario) -> Optimum | None:
    """The optimum in a file; None if there is none, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found: Optimum = located(system_of(scenario).optimum_record).from_arrays(dict(arrays))
    except Exception:  # no file, or whatever damaged bytes lead the zip, JSON and header parsers to
        return None
    return found


def _replayable(optimum: Optimum | None, scenario: Scenario, tape: Tape) -> Optimum | None:
    """The optimum if its plan still reaches what it did."""
    if optimum is None:
        return None
    reached = float(rollout(scenario, tape, optimum.whole_plan).objective[0])
    return optimum if math.isclose(reached, optimum.achieved, rel_tol=1e-12) else None
