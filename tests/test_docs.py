"""README and docs: what they name exists, and the README's example runs as it stands there."""

import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}

pages = pytest.mark.parametrize("page", TEXTS)


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in links to them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exists(name: str) -> bool:
    """Whether a dotted name is a module, which is not imported, or something in one."""
    try:
        if importlib.util.find_spec(name) is not None:
            return True
    except ModuleNotFoundError:  # what stands before the last dot is no package
        pass
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


def names_in(text: str) -> set[str]:
    """Our dotted names on a page, those that an example imports included."""
    imported = re.findall(r"^from (edgelearn_env[\w.]*) import (.*)$", text, flags=re.MULTILINE)
    names = {f"{module}.{name.strip()}" for module, listed in imported for name in listed.split(",")}
    return names | set(re.findall(r"\bedgelearn_env(?:\.[A-Za-z_]\w*)+", text))


@pages
def test_every_name_on_a_page_exists(page):
    assert [name for name in sorted(names_in(TEXTS[page])) if not exists(name)] == []


@pages
def test_no_page_names_what_lies_deep_in_a_package(page):
    assert [name for name in names_in(TEXTS[page]) if "two_stage" in name.split(".")] == []


@pages
def test_every_source_file_on_a_page_exists(page):
    named = re.findall(r"(?<![\w/])(?:\w+/)+\w+\.py\b", TEXTS[page])
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pages
def test_every_link_to_a_file_or_a_heading_leads_there(page):
    for path, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", TEXTS[page]):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.is_file(), path
        assert not heading or heading in anchors(target.read_text(encoding="utf-8")), f"{path}#{heading}"


def test_the_readmes_example_runs_as_it_stands(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", TEXTS["README.md"], flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    reached, bound = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out))
    assert reached > bound > 0
