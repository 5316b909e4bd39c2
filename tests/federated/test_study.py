"""The study: its variants keep to their limits, its table goes on where it stopped, limits are answered by look-up."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

from small_training import small_samples

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.study import bench, tuned_runs
from edgelearn_env.federated.study import study as module
from edgelearn_env.federated.study.limits import LIMITS, Limit, answers, selected
from edgelearn_env.federated.study.plan import PLANS, net_for
from edgelearn_env.federated.study.runs import Run, RunKey, study_schedule
from edgelearn_env.federated.study.study import Study
from edgelearn_env.federated.study.table import Table, tuned_step_size
from edgelearn_env.federated.study.tables import equal_table, gap_table, limits_table, rule_table, unequal_table
from edgelearn_env.federated.study.variants import (
    GROUP_BYTES,
    equal_variants,
    group_of,
    last_blocks,
    pairs,
    partial_variants,
    unequal_variants,
)
from edgelearn_env.schedule import DeviceTurn

NETS = {depth: net_for("default", depth) for depth in (2, 4, 6)}


def run(variant: str, bits: float, seed: int = 0, part: str = "equal", **fields) -> Run:
    known = dict.fromkeys(Run._fields[5:], 0.5) | {"depth": 4, "uploaded_bytes": 0, "digest": "0"}
    known |= {"validation_bits": bits, "test_bits": bits + 0.01, "step_flops": 1e9, "peak_bytes": 20e6}
    return Run(*RunKey(part, "default", variant, seed, 0.1), **known | fields)


def test_a_step_size_is_searched_uphill_from_its_start_and_each_asked_once():
    sizes, asked = (0.1, 0.2, 0.4, 0.8, 1.6), []

    def bits_at(size: float) -> float:
        asked.append(size)
        return (np.log2(size) - np.log2(0.8)) ** 2

    assert tuned_step_size(bits_at, sizes, 0.2) == 0.8
    assert sorted(asked) == sorted(set(asked)) == list(sizes)
    assert tuned_step_size(lambda size: size, sizes, 0.2) == 0.1
    assert tuned_step_size(lambda size: np.nan if size > 0.2 else -size, sizes, 0.4) == 0.2


def test_names_of_variants_are_different():
    for variants in (equal_variants() + partial_variants(), unequal_variants(NETS, 32, 30)):
        names = [each.name for each in variants]
        assert len(set(names)) == len(names)


def test_devices_of_every_group_keep_to_its_memory():
    for variant in unequal_variants(NETS, 32, 30):
        if variant.name in ("no limits", "devices dropped"):
            continue
        for device in range(30):
            group = group_of(device, 30)
            for window in variant.windows_of(group):
                costs = variant.scheme.costs(NETS[variant.depth], DeviceTurn(device, 32, 1.0, window))
                assert costs.peak_bytes <= GROUP_BYTES[group], (variant.name, device)


def test_layer_finetuning_trains_as_many_last_blocks_as_fit():
    (layers, *_), last = unequal_variants(NETS, 32, 30), []
    for group in range(3):
        ((first, end),) = layers.windows_of(group)
        assert end == 4
        last.append(end - first)
    assert last == [2, 3, 4]


def test_all_variants_meet_the_same_cohorts_and_dropped_devices_stay_out():
    plan = dataclasses.replace(PLANS[15], rounds=5, cohort=6)
    variants = {each.name: each for each in unequal_variants(NETS, 32, 30)}
    whole, dropped = (study_schedule(variants[name], NETS[4], 30, plan, 1) for name in ("no limits", "devices dropped"))
    for everyone, strong in zip(whole.rounds, dropped.rounds, strict=True):
        devices = [turn.device for turn in everyone.turns]
        assert len(set(devices)) == 6
        assert [turn.device for turn in strong.turns] == [k for k in devices if group_of(k, 30) == 2]
        assert all(turn.weight == pytest.approx(1 / 6) for turn in everyone.turns)
    assert np.all(np.diff([each.elapsed_s for each in whole.rounds]) > 0)
    assert whole.rounds[-1].spent_j > dropped.rounds[-1].spent_j


def test_limits_are_answered_by_the_best_that_fits():
    runs = [
        run("last 2 of 4", 2.0, peak_bytes=30e6),
        run("last 1 of 4", 2.2, peak_bytes=10e6),
        run("LoRA 8 of 4", 2.1, peak_bytes=40e6),
        run("LoRA 2 of 2", 2.4, peak_bytes=12e6),
    ]
    found = {(a.limit.most, a.family): a for a in answers(runs, [Limit("memory", 15e6), Limit("memory", 50e6)])}
    assert found[15e6, "layer finetuning"].variant == "last 1 of 4"
    assert found[50e6, "layer finetuning"].variant == "last 2 of 4"
    assert found[50e6, "LoRA"].variant == "LoRA 8 of 4"
    np.testing.assert_allclose(found[15e6, "LoRA"].test_bits, [2.41])
    assert (15e6, "head") not in found


@pytest.mark.parametrize(
    ("limits", "depth", "blocks"),
    [
        # Four blocks: 24.2 MB for the last two; six blocks need 24.6 MB for as many.
        ([Limit("memory", 24.3e6)], 4, (2,)),
        ([Limit("memory", 26e6)], 6, (2,)),
        # l + 2 t at 0.235 GFLOP each, and the head: a net of two whole costs what the last one of four does.
        ([Limit("FLOPs", 1.5e9)], 2, (2,)),
        ([Limit("memory", 24.3e6), Limit("memory", 46e6)], 4, (2, 4)),
        ([Limit("memory", 1e6)], 0, (0,)),
    ],
)
def test_the_rule_picks_the_depth_with_most_blocks(limits, depth, blocks):
    assert selected(NETS, 32, limits) == (depth, blocks)


def test_a_table_goes_on_where_it_stopped_and_refuses_another_study(tmp_path):
    file = tmp_path / "runs.csv"
    first = Table(file, {"rounds": 3})
    first.add([run("a", 2.1)])
    again = Table(file, {"rounds": 3})
    assert again.known() == first.known() == {run("a", 2.1).key: run("a", 2.1)}
    again.add([run("a", 9.9), run("b", 2.1)])
    assert list(Table(file, {"rounds": 3}).known().values()) == [run("a", 2.1), run("b", 2.1)]
    with pytest.raises(InvalidInputError, match="another study"):
        Table(file, {"rounds": 4})
    file.write_text("part\nequal\n")
    with pytest.raises(InvalidInputError, match="not a table of runs"):
        Table(file, {"rounds": 3})


def test_tables_say_what_the_runs_say():
    runs = [
        run(name, bits + seed / 100, seed)
        for seed in (0, 1)
        for name, bits in (("last 2 of 4", 2.0), ("LoRA 8 of 4", 2.1), ("head of 4", 2.3))
    ]
    rows = {row[0]: row for row in equal_table(runs).rows}
    assert rows["last 2 of 4"][-2] == "2.0150"
    assert [row[0] for row in equal_table(runs).rows] == ["last 2 of 4", "LoRA 8 of 4", "head of 4"]
    behind = {(row[0], row[1]): row[-1] for row in limits_table(runs).rows}
    assert behind[LIMITS[1].label, "LoRA"] == "+0.1000 ± 0.0000"
    assert behind[LIMITS[1].label, "layer finetuning"] == ""
    by_limit = {row[0]: row for row in rule_table(runs, {4: NETS[4]}, 32).rows}
    assert by_limit["memory 26 MB"][1:] == ("last 2 of 4", "2.0150", "last 2 of 4", "2.0150", "+0.0000 ± 0.0000")
    unequal = [
        run(name, bits + seed / 100, seed, part="unequal", weak_accuracy=weak, strong_accuracy=0.5)
        for seed in (0, 1)
        for name, bits, weak in (("layer finetuning", 2.0, 0.42), ("devices dropped", 2.1, 0.4))
    ]
    best, dropped = unequal_table(unequal).rows
    assert (best[0], best[3], best[-1]) == ("layer finetuning", "", "")
    assert (dropped[3], dropped[-1]) == ("+0.1000 ± 0.0000", "-2.0000 ± 0.0000")
    assert dropped[5:8] == ("40.00%", "50.00%", "50.00%")
    swept = [
        run(name, bits, seed, part="gap")
        for seed, (name, bits) in enumerate((("before fine-tuning, 4", 2.5), ("before fine-tuning, 4", 2.9)))
    ]
    swept += [run("last 2 of 4", 2.2, 0, part="gap"), run("last 2 of 4", 2.5, 1, part="gap")]
    assert [row[-1] for row in gap_table(swept).rows if row[1] == "last 2 of 4"] == ["0.350"]
    assert "| variant |" in equal_table(runs).markdown


def test_a_study_of_one_round_makes_every_run_once(tmp_path, monkeypatch):
    small = {2: Net(depth=1, width=8, tokens=8), 4: Net(depth=2, width=8, tokens=8), 6: Net(depth=3, width=8, tokens=8)}
    for each in (bench, module):
        monkeypatch.setattr(each, "samples_of", lambda _: small_samples(6))
        monkeypatch.setattr(each, "net_for", lambda _, depth: small[depth])
    monkeypatch.setattr(module, "DEEP", 6)
    variants = [last_blocks(4, 2)._replace(windows=(((1, 2),),)), pairs(2, 2)._replace(windows=(((0, 1),),))]
    monkeypatch.setattr(module, "equal_variants", lambda: variants)
    monkeypatch.setattr(module, "partial_variants", list)
    monkeypatch.setattr(module, "unequal_variants", lambda *_: variants[:1])
    monkeypatch.setattr(module, "_GAP_VARIANTS", variants[1:])
    plan = dataclasses.replace(PLANS[1], seeds=(0, 1), gaps=("near",), step_sizes=(0.1, 0.2), batch=2)
    study = Study(plan, tmp_path)
    runs = list(study.runs())
    assert len(runs) == study.num_tasks
    by_part = {part: [r for r in runs if r.part == part] for part in ("equal", "unequal", "gap")}
    assert {part: len(some) for part, some in by_part.items()} == {"equal": 10, "unequal": 6, "gap": 3}
    assert {r.seed for r in runs} == {0, 1}
    assert len({r.key for r in runs}) == len(runs)
    for variant in variants:
        assert len({r.step_size for r in by_part["equal"] if r.variant == variant.name}) == 1
    # What is there is not made again.
    bench.bench_of.cache_clear()
    monkeypatch.setattr(tuned_runs, "study_run", None)
    monkeypatch.setattr(tuned_runs, "before_finetuning", None)
    assert list(Study(plan, tmp_path).runs()) == runs
