"""The page on coded rounds: its example runs as it stands there."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "gradient_coding.md"


def test_the_example_runs_and_prints_what_the_trace_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    exec(compile(example, str(PAGE), "exec"), {})
    third, fitted = capsys.readouterr().out.splitlines()
    assert third == "slow-downs of the third round: [2.1 1.4 1.  1. ]"
    numbers = [float(number) for number in re.findall(r"\d+\.\d*", fitted)]
    assert [round(number, 2) for number in numbers] == [2.1, 1.37, 1.0, 1.0]
