"""The page on codes: its example runs as it stands there, and prints what the page says of it."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "codes.md"


def test_the_example_runs_and_decodes(capsys):
    [example] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    exec(compile(example, str(PAGE), "exec"), {})
    load, exact, too_few = capsys.readouterr().out.splitlines()
    assert load == "9 parts; a device computes 44% of them, no code less than 44%"
    assert float(exact.removeprefix("exact to ")) < 1e-12
    assert 0 < float(re.findall(r"\d\.\d+", too_few)[0]) < 1
