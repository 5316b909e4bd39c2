"""Results name the objective of their system."""

import pytest
from command_line import edgelearn

from edgelearn_env.evaluation.leaderboard import Leaderboard
from edgelearn_env.evaluation.report import Report


@pytest.mark.parametrize(("preset", "symbol", "other"), [("tiny", "Φ", "J"), ("layers-tiny", "J", "Φ")])
def test_tables_and_leaderboards_name_what_is_to_be_low(preset, symbol, other, tmp_path):
    words = ["-s", preset, "--set", "budgets.max_rounds=3"]
    benchmark = [
        "benchmark",
        *words,
        "--episodes",
        "1",
        "--policies",
        "random,myopic",
        "--workers",
        "1",
        "--out",
        "found",
    ]
    played = edgelearn(*benchmark, folder=tmp_path, width=200)
    assert played.status == 0, played.complaint
    assert f"mean {symbol}" in played.printed
    assert f"{symbol} / its {symbol}, less 1" in played.printed
    assert f"{symbol}: bound on the" in played.printed
    assert f"mean {other}" not in played.printed
    board = Leaderboard.of({"found": Report.load(tmp_path / "found" / "benchmark.json")}).markdown()
    assert f"Mean {symbol}" in board
    assert f"{symbol}: lower is better" in board
    solved = edgelearn("solve", *words, "--seed", "3", folder=tmp_path, width=200)
    assert f"{symbol}, whole batches" in solved.printed
