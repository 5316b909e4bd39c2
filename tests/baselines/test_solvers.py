"""The choice of a solver: an unknown one or one that is not installed is refused in one sentence, before any work."""

import sys
import tomllib
from pathlib import Path

import cvxpy as cp
import pytest
from small_systems import planned

from edgelearn_env.baselines.clairvoyance import clairvoyant_batch
from edgelearn_env.baselines.solvers import SOLVERS
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.tapes.tape import Tape

WAYS = {
    "one tape": lambda scenario, tape, solver: clairvoyant(scenario, tape, solver=solver),
    "many tapes": lambda scenario, tape, solver: clairvoyant_batch(scenario, Tape.stack([tape]), solver=solver),
    "one program": lambda scenario, tape, solver: EpisodeProgram(planned(scenario, tape, 1, 1)).solve(solver),
}


@pytest.fixture(params=WAYS)
def solve(request, tiny, tiny_tape, monkeypatch):
    """A way to solve with a solver of some name, in which nothing may be solved."""
    monkeypatch.setattr(cp.Problem, "solve", lambda *_, **__: pytest.fail("another solver took over"))
    return lambda solver: WAYS[request.param](tiny, tiny_tape, solver)


def test_an_unknown_solver_is_refused_with_the_names_of_those_known(solve):
    with pytest.raises(
        InvalidInputError, match=r"^solver must be one of 'structured', 'clarabel', 'moreau', got 'simplex'$"
    ):
        solve("simplex")


def test_a_solver_that_is_not_installed_is_refused_with_the_extra_that_installs_it(solve, monkeypatch):
    monkeypatch.setitem(sys.modules, "moreau", None)
    with pytest.raises(MissingExtraError, match=r"^solver 'moreau' .*: pip install 'edgelearn-env\[moreau\]'$"):
        solve("moreau")


def test_every_solver_is_a_dependency_or_an_extra_of_its_name():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for name in SOLVERS:
        requirements = project["dependencies"] + project["optional-dependencies"].get(name, [])
        assert any(requirement.startswith(name) for requirement in requirements)
