"""`python -m edgelearn_env.scripts.environment_page`: copy the environments' docstrings into their pages in docs."""

import inspect

from edgelearn_env.scenarios.systems import SYSTEMS, located
from edgelearn_env.scripts.sections import rewrite_section, with_section

# The page of each system's environment.
PAGES = {
    "two-stage": "docs/environment.md",
    "gradient-coding": "docs/coded_environment.md",
    "layer-tuning": "docs/layers_environment.md",
}
BEGIN = "<!-- environment: made by `python -m edgelearn_env.scripts.environment_page` -->"
END = "<!-- end of environment -->"


def environment_section(system: str) -> str:
    """The docstring of a system's environment without its first line: sections and tables."""
    _, _, sections = (inspect.getdoc(located(SYSTEMS[system].single)) or "").partition("\n\n")
    return sections.rstrip()


def with_environment_section(system: str, page: str) -> str:
    """The page's text with that part of it up to date."""
    return with_section(page, BEGIN, END, environment_section(system))


if __name__ == "__main__":
    for system, page in PAGES.items():
        rewrite_section(page, BEGIN, END, environment_section(system))
