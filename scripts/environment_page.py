"""`python -m edgelearn_env.scripts.environment_page`: copy the environment's docstring into docs/environment.md."""

import inspect

from edgelearn_env.scripts.sections import rewrite_section, with_section
from edgelearn_env.two_stage.env import TwoStageEnv

PAGE = "docs/environment.md"
BEGIN = "<!-- environment: made by `python -m edgelearn_env.scripts.environment_page` -->"
END = "<!-- end of environment -->"


def environment_section() -> str:
    """The environment's docstring without its first line: sections and tables."""
    _, _, sections = (inspect.getdoc(TwoStageEnv) or "").partition("\n\n")
    return sections.rstrip()


def with_environment_section(page: str) -> str:
    """The page's text with that part of it up to date."""
    return with_section(page, BEGIN, END, environment_section())


if __name__ == "__main__":
    rewrite_section(PAGE, BEGIN, END, environment_section())
