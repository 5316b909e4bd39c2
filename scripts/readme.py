"""`python -m edgelearn_env.scripts.readme`: copy the environment's tables from its docstring into README.md."""

import inspect
import re

from edgelearn_env.scripts.sections import rewrite_section, with_section
from edgelearn_env.two_stage.env import TwoStageEnv

BEGIN, END = "<!-- environment: made by `python -m edgelearn_env.scripts.readme` -->", "<!-- end of environment -->"
_LEFT_OUT = ("Description", "Arguments", "Version History")


def environment_section() -> str:
    """The sections of the environment's docstring that a reader of the README needs, one heading deeper."""
    sections = re.split(r"^## ", inspect.getdoc(TwoStageEnv) or "", flags=re.MULTILINE)[1:]
    kept = [section.rstrip() for section in sections if section.split("\n", 1)[0] not in _LEFT_OUT]
    return "\n\n".join(f"### {section}" for section in kept)


def with_environment_section(readme: str) -> str:
    """The README's text with that part of it up to date."""
    return with_section(readme, BEGIN, END, environment_section())


if __name__ == "__main__":
    rewrite_section("README.md", BEGIN, END, environment_section())
