"""Imports point one way: from floor to floor, never between siblings, and agents and solvers only where they may."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "edgelearn_env"
SYSTEMS = ("two_stage", "layer_tuning", "gradient_coding")

# From the ground up; a module sees those of its own floor and of those below it.
FLOORS = (
    {"errors", "files", "faces", "printing", "arrays", "ray_cluster"},
    {"scenarios"},
    {"physics"},
    {"tapes"},
    {"model", "registration"},
    {"trajectory", "array_episodes", "model_programs", "traced_episodes"},
    {"stages"},
    {*SYSTEMS},
    {"schedule"},
    {"federated"},
    {"envs"},
    {"drawing", "evaluation", "wrappers"},
    {"baselines"},
    {"agents"},
    {"scripts"},
)
# What dresses a system's model in an environment's conventions stands above the shells, though in the system's folder.
DRESSES = {"env", "tensor_env", "parallel", "multi_objective"}


def sources() -> dict[str, Path]:
    """Every module by its name."""
    found = {}
    for folder, prefix in (
        (PACKAGE, PACKAGE),
        *((name, f"{PACKAGE}.{name}") for name in ("agents", "baselines", "scripts")),
    ):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((prefix, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = sources()


def imports_of(path: Path) -> Iterator[str]:
    """Modules of the package that a source imports when it runs, within functions or not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checks_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) not in checks_only and isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            names = {f"{node.module}.{name.name}" for name in node.names} & MODULES.keys()
            yield from names or {str(node.module)}


def forbidden(module: str, imported: str) -> str | None:
    """Why a module must not import another, if it must not."""
    mine, theirs = module.split(".")[1:], imported.split(".")[1:]
    if not theirs or not mine:
        return None
    systems = [next((part for part in parts[:2] if part in SYSTEMS), None) for parts in (mine, theirs)]
    if all(systems) and systems[0] != systems[1]:
        return "siblings never see each other"
    if "stages" in mine[:2] and systems[1]:
        return "what systems share knows none of them"
    if mine[0] in SYSTEMS and mine[-1] in DRESSES and theirs[0] in {*SYSTEMS, "envs"}:
        return None
    if theirs[0] in SYSTEMS and theirs[-1] in DRESSES and mine[0] in SYSTEMS and mine[-1] not in DRESSES:
        return "an environment is made of its model, not the other way round"
    return None if floor(theirs[0]) <= floor(mine[0]) else f"{theirs[0]} stands above {mine[0]}"


def floor(name: str) -> int:
    return next(index for index, names in enumerate(FLOORS) if name in names)


def test_every_folder_and_module_has_a_floor():
    tops = {module.split(".")[1] for module in MODULES if "." in module}
    assert tops <= set().union(*FLOORS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_downwards(module: str):
    reasons = {name: forbidden(module, name) for name in imports_of(MODULES[module])}
    assert not {name: reason for name, reason in reasons.items() if reason}


def test_shells_know_no_system():
    for module in MODULES:
        if module.startswith((f"{PACKAGE}.envs.", f"{PACKAGE}.trajectory", f"{PACKAGE}.model", f"{PACKAGE}.tapes.")):
            assert not any(name.split(".")[1] in SYSTEMS for name in imports_of(MODULES[module]))


def test_codes_need_nothing_of_an_environment():
    codes = f"{PACKAGE}.gradient_coding.codes"
    allowed = (f"{codes}.", f"{PACKAGE}.arrays.", f"{PACKAGE}.errors")
    modules = [module for module in MODULES if module.startswith(codes)]
    assert len(modules) > 1
    assert not [name for module in modules for name in imports_of(MODULES[module]) if not name.startswith(allowed)]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("edgelearn_env.physics.compute", "edgelearn_env.tapes.tape"),
        ("edgelearn_env.two_stage.dynamics", "edgelearn_env.gradient_coding.dynamics"),
        ("edgelearn_env.baselines.two_stage.policies.mpc", "edgelearn_env.baselines.layer_tuning.model.plan"),
        ("edgelearn_env.baselines.stages.model.plan", "edgelearn_env.baselines.two_stage.clairvoyant"),
        ("edgelearn_env.stages.encoding", "edgelearn_env.two_stage.env"),
        ("edgelearn_env.envs.single", "edgelearn_env.wrappers.soft_budgets"),
        ("edgelearn_env.baselines.ladder", "edgelearn_env.agents.ppo"),
    ],
)
def test_what_is_forbidden_is_seen(module: str, imported: str):
    assert forbidden(module, imported)


def test_nothing_imports_itself_in_a_circle():
    edges = {module: {name for name in imports_of(path) if name in MODULES} for module, path in MODULES.items()}
    # Names that load when they are asked for, and a package's own modules, close no circle.
    at_once = {module: names - {PACKAGE} for module, names in edges.items() if MODULES[module].name != "__init__.py"}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above[above.index(module) :], module))
        if module not in done:
            for name in at_once.get(module, ()):
                visit(name, (*above, module))
            done.add(module)

    for module in at_once:
        visit(module, ())


@pytest.mark.parametrize(
    "face",
    [
        "edgelearn_env",
        "edgelearn_env.baselines",
        "edgelearn_env.agents",
        "edgelearn_env.gradient_coding",
        "edgelearn_env.layer_tuning",
    ],
)
def test_a_face_lists_all_that_it_hands_on_before_any_of_it_has_loaded(face):
    code = f"import {face} as face; print(sorted(set(face.__all__) - set(dir(face))))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "[]"
