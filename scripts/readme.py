"""`python -m edgelearn_env.scripts.readme`: copy the environment's tables from its docstring into README.md."""

import inspect
import re
from pathlib import Path

from edgelearn_env.envs.two_stage import TwoStageEnv
from edgelearn_env.files import written_atomically

BEGIN, END = "<!-- environment: made by `python -m edgelearn_env.scripts.readme` -->", "<!-- end of environment -->"
_LEFT_OUT = ("Description", "Arguments", "Version History")


def environment_section() -> str:
    """The sections of the environment's docstring that a reader of the README needs, one heading deeper."""
    sections = re.split(r"^## ", inspect.getdoc(TwoStageEnv) or "", flags=re.MULTILINE)[1:]
    kept = [section.rstrip() for section in sections if section.split("\n", 1)[0] not in _LEFT_OUT]
    return "\n\n".join(f"### {section}" for section in kept)


def with_environment_section(readme: str) -> str:
    """The README's text with that part of it up to date."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n\n{environment_section()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    path = Path("README.md")
    text = with_environment_section(path.read_text(encoding="utf-8"))
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
