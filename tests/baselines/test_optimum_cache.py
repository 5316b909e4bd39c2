"""Proven optima on disk: solved once, the same when read again, and never trusted when they are not whole."""

import dataclasses

import numpy as np
import pytest

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines import optimum_cache
from edgelearn_env.baselines.optimum_cache import cached_optima, optimum_digest
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.tapes.tape import sample_tape

SEEDS = [3, 4]


@pytest.fixture
def small(tiny):
    return tiny.replace(budgets={"delay_s": 6.0, "max_rounds": 8})


@pytest.fixture
def solved(monkeypatch) -> list[int]:
    """How many tapes were solved at each call, in this process."""
    calls = []

    def solving(scenario, tapes, **choices):
        calls.append(len(tapes.channel_gain))
        return (clairvoyant(scenario, tape) for tape in tapes.each())

    monkeypatch.setattr(optimum_cache, "clairvoyant_batch", solving)
    return calls


def same(one: StagedOptimum, other: StagedOptimum) -> None:
    assert one.certificate == other.certificate
    assert (one.value, one.achieved) == (other.value, other.achieved)
    for name in ("plan", "whole_plan"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a.num_pretrain_rounds, a.num_finetune_rounds) == (b.num_pretrain_rounds, b.num_finetune_rounds)
        mapped(np.testing.assert_array_equal, a.allocations, b.allocations)


def test_what_was_solved_once_is_read_the_second_time_and_is_the_same(small, solved, tmp_path):
    first = list(cached_optima(small, SEEDS, tmp_path))
    second = list(cached_optima(small, SEEDS, tmp_path))
    assert solved == [2]
    for one, other in zip(first, second, strict=True):
        same(one, other)
    same(first[0], clairvoyant(small, sample_tape(small, SEEDS[0])))


def test_tapes_that_are_drawn_already_are_not_drawn_again(small, solved, tmp_path, monkeypatch):
    first = list(cached_optima(small, SEEDS, tmp_path))
    tapes = [sample_tape(small, seed) for seed in SEEDS]
    monkeypatch.setattr(optimum_cache, "sample_tape", None)
    for one, other in zip(first, cached_optima(small, SEEDS, tmp_path, tapes=tapes), strict=True):
        same(one, other)
    assert solved == [2]


def test_only_what_is_missing_is_solved_and_the_order_is_that_of_the_seeds(small, solved, tmp_path):
    whole = list(cached_optima(small, [3, 4, 5], tmp_path / "whole"))
    list(cached_optima(small, [4], tmp_path / "part"))
    found = list(cached_optima(small, [3, 4, 5], tmp_path / "part"))
    assert solved == [3, 1, 2]
    for one, other in zip(whole, found, strict=True):
        same(one, other)


@pytest.mark.parametrize("damage", ["cut off", "flipped", "emptied"])
def test_a_damaged_file_is_solved_again_and_replaced(small, solved, tmp_path, damage):
    first = list(cached_optima(small, SEEDS, tmp_path))
    path = next(tmp_path.glob("4-*.npz"))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        middle = slice(len(content) // 2, len(content) // 2 + 100)
        content[middle] = bytes(byte ^ 0xFF for byte in content[middle])
    path.write_bytes(content[: {"cut off": len(content) // 2, "emptied": 0}.get(damage, len(content))])
    for one, other in zip(first, cached_optima(small, SEEDS, tmp_path), strict=True):
        same(one, other)
    list(cached_optima(small, SEEDS, tmp_path))
    assert solved == [2, 1]


def test_a_plan_that_the_dynamics_do_not_replay_is_solved_again(small, solved, tmp_path):
    [optimum] = cached_optima(small, [3], tmp_path)
    path = next(tmp_path.glob("3-*.npz"))
    optimum_cache._written(path, dataclasses.replace(optimum, achieved=0.9 * optimum.achieved))
    [again] = cached_optima(small, [3], tmp_path)
    assert solved == [1, 1]
    same(optimum, again)


def test_a_digest_follows_scenario_and_tape_but_not_the_name(small):
    tape = sample_tape(small, 3)
    digest = optimum_digest(small, tape)
    assert optimum_digest(small.replace(name="mine"), tape) == digest
    assert optimum_digest(small.replace(budgets={"delay_s": 6.1}), tape) != digest
    assert optimum_digest(small, sample_tape(small, 4)) != digest
    assert optimum_digest(small, tape._replace(harvest_w=np.nextafter(tape.harvest_w, 1))) != digest


def test_an_interrupt_leaves_whole_files_only(small, solved, tmp_path):
    optima = cached_optima(small, SEEDS, tmp_path)
    next(optima)
    optima.close()
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["3"]
