"""The page on layer tuning: its example runs as it stands there."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "layer_tuning.md"


def test_the_example_names_the_two_stage_scenario(capsys):
    [example] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == "layers-tiny, 1 of 2 blocks EdgeLearn/TwoStage-v0\n"
