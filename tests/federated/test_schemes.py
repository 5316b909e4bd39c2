"""Schemes: what devices hold and train, that adapters are what LoRA is, and that costs are what is measured."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from small_training import NET, small_samples, small_weights

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.measurement import measured_step
from edgelearn_env.federated.networks import MATRICES, Net, after_blocks, embedded, initial_weights
from edgelearn_env.federated.parts import held
from edgelearn_env.federated.samples import Samples, drawn
from edgelearn_env.federated.schemes import Adapters, Blocks, RollingWidth
from edgelearn_env.schedule import DeviceTurn

MEASURED_NET = Net(depth=4)


def turn(first: int, end: int, device: int = 0, batch: int = 32) -> DeviceTurn:
    return DeviceTurn(device, batch, 1.0, (first, end))


def stream_of(weights, net, inputs):
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    return after_blocks(tensors, net, embedded(tensors, net, torch.from_numpy(inputs)), 0, net.depth).numpy()


@pytest.mark.parametrize(
    ("scheme", "which"),
    [
        (Blocks(), turn(4, 4)),
        (Blocks(), turn(3, 4)),
        (Blocks(), turn(2, 4)),
        (Blocks(), turn(0, 4)),
        (Blocks(), turn(1, 2)),
        (Blocks(), DeviceTurn(0, 32, 1.0)),
        (Adapters(ranks=(8,)), turn(0, 4)),
        (Adapters(ranks=(2, 8)), turn(0, 4)),
        (RollingWidth(shares=(0.5,)), turn(0, 4)),
    ],
    ids=str,
)
def test_formulas_are_within_two_percent_of_what_is_measured(scheme, which):
    weights = scheme.prepared(initial_weights(MEASURED_NET, 0), MEASURED_NET)
    rng = np.random.default_rng(0)
    batch = Samples(rng.integers(0, 96, (32, 64)), rng.integers(0, 96, (32, 64)))
    costs = scheme.costs(MEASURED_NET, which)
    measured = measured_step(weights, MEASURED_NET, scheme.part(weights, MEASURED_NET, which, 1), batch, repeats=1)
    assert measured.flops == pytest.approx(costs.flops, rel=0.02)
    assert measured.upload_bytes == costs.upload_bytes
    if which.blocks != (4, 4):  # what is kept for the head alone is less than the forward pass works with
        assert measured.peak_bytes == pytest.approx(costs.peak_bytes, rel=0.02)
    else:
        assert measured.peak_bytes < costs.peak_bytes


def test_fresh_pairs_change_nothing():
    scheme, inputs = Adapters(ranks=(3,)), drawn(small_samples().general, 5, 0).inputs
    plain = stream_of(small_weights(), NET, inputs)
    np.testing.assert_array_equal(stream_of(scheme.prepared(small_weights(), NET), NET, inputs), plain)


def test_a_pair_stands_for_its_product(rng):
    weights = dict(Adapters(ranks=(3,)).prepared(small_weights(), NET))
    merged = {}
    for name in (f"block{index}.{matrix}" for index in range(NET.depth) for matrix in MATRICES):
        weights[f"{name}.lora_b"] = rng.standard_normal(weights[f"{name}.lora_b"].shape).astype(np.float32)
        product = weights[f"{name}.lora_b"] @ weights[f"{name}.lora_a"]
        merged[f"{name}.weight"] = weights[f"{name}.weight"] + product
    inputs = drawn(small_samples().general, 5, 0).inputs
    np.testing.assert_allclose(
        stream_of(weights, NET, inputs), stream_of(small_weights() | merged, NET, inputs), rtol=1e-3, atol=1e-4
    )


def test_each_device_has_pairs_of_its_own_rank():
    scheme = Adapters(ranks=(1, 4))
    weights = scheme.prepared(small_weights(), NET)
    for device, rank in ((0, 1), (1, 4), (7, 4)):
        mine = held(weights, scheme.part(weights, NET, turn(0, 2, device), 0))
        assert mine["block0.up.lora_a"].shape == (rank, NET.width)
        assert mine["block0.up.lora_b"].shape == (4 * NET.width, rank)


def test_rolling_windows_reach_every_head_in_turn():
    scheme, weights = RollingWidth(shares=(0.5,)), small_weights()
    rows = []
    for index in range(NET.heads):
        part = scheme.part(weights, NET, turn(0, 2), index)
        mine = held(weights, part)
        assert mine["block1.q.weight"].shape == (8, 16)
        assert mine["block1.down.weight"].shape == (16, 32)
        assert stream_of(mine, NET, drawn(small_samples().general, 2, 0).inputs).shape == (2, 8, 16)
        rows.append(part.narrowed["block1.q.bias"][0])
    np.testing.assert_array_equal(rows[0], np.arange(8))
    np.testing.assert_array_equal(rows[3], [0, 1, 2, 3, 12, 13, 14, 15])
    assert {int(row) for window in rows for row in window} == set(range(16))


def test_a_share_of_one_is_the_whole_net():
    scheme, weights = RollingWidth(shares=(1.0,)), small_weights()
    assert scheme.part(weights, NET, turn(0, 2), 3) == Blocks().part(weights, NET, turn(0, 2), 3)
    assert scheme.costs(NET, turn(0, 2)) == Blocks().costs(NET, turn(0, 2))


def test_blocks_that_there_are_not_are_refused():
    with pytest.raises(InvalidInputError, match="within 0 to 2"):
        Blocks().part(small_weights(), NET, turn(1, 3), 0)
