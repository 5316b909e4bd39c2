"""What is installed: the right folders, in an import root of their own, and usable outside of the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from edgelearn_env.scenarios.systems import SYSTEMS
from edgelearn_env.scripts.environment_page import PAGES, with_environment_section
from edgelearn_env.scripts.leaderboard import BEGIN, END
from edgelearn_env.scripts.sections import with_section

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {"agents": "agents", "baselines": "baselines", "scripts": "scripts"}


def packages_on_disk() -> set[str]:
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "edgelearn_env").rglob("__init__.py")}
    for folder, name in FOLDERS.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join(("edgelearn_env", name, *path.parent.relative_to(ROOT / folder).parts)))
    return found


def test_the_list_of_packages_matches_the_folders_on_disk():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_the_folders_beside_the_package_are_installed_within_it():
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    assert mapping == {f"edgelearn_env.{name}": folder for folder, name in FOLDERS.items()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_page_of_each_environment_has_its_docstring_as_it_is(system):
    page = (ROOT / PAGES[system]).read_text(encoding="utf-8")
    assert "## Action Space" in page
    assert with_environment_section(system, page) == page, "run: python -m edgelearn_env.scripts.environment_page"


def test_the_readme_has_a_place_for_the_leaderboard():
    assert "| table |" in with_section((ROOT / "README.md").read_text(encoding="utf-8"), BEGIN, END, "| table |")


def no_sources(folder: str, names: list[str]) -> set[str]:
    """What of a folder is made by commands; `agents/runs` is not."""
    made = {"build", "results", "runs"} if Path(folder) == ROOT else set()
    return made & set(names) | set(shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")(folder, names))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    # Built from a copy: setuptools leaves a folder behind, from which a later build would take files that are gone.
    source, folder = tmp_path_factory.mktemp("source") / "project", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=no_sources)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_code_presets_and_checkpoints_and_no_bare_folders(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert roots == {"edgelearn_env"}
    for file in (
        "two_stage/presets/default.toml",
        "baselines/two_stage/clairvoyant.py",
        "agents/checkpoints/ppo-default-0.zip",
        "scripts/main.py",
        "py.typed",
    ):
        assert f"edgelearn_env/{file}" in names


def test_an_installed_wheel_works_in_an_empty_folder(wheel, tmp_path):
    # The dependencies are those of this interpreter; the package itself comes from the wheel alone.
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    command += ["--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    work = tmp_path / "empty"
    work.mkdir()
    # Loops would be compiled anew in this folder, for longer than all else takes: other tests compile them.
    small = ["--scenario", "tiny", "--set", "budgets.max_rounds=4", "--episodes", "1", "--workers", "1"]
    code = f"""
import sys
import gymnasium
import edgelearn_env
print(edgelearn_env.__file__)
gymnasium.make("EdgeLearn/TwoStage-v0", kernel="numpy").reset(seed=1)
sys.argv = ["edgelearn", "benchmark", *{small}, "--policies", "equal"]
from edgelearn_env.scripts.main import main
main()
"""
    environment = os.environ | {"PYTHONPATH": str(target)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, text=True, check=True
    )
    assert str(target) in result.stdout
    assert (work / "results" / "benchmark.json").is_file()
