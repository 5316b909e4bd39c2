"""Costs of training a transformer's last blocks: hand values, and that arrays broadcast."""

import numpy as np
import pytest

from edgelearn_env.physics.transformer import TransformerSize, adapter_costs, layer_costs, window_costs

# Images of 32 x 32 in 64 patches of 4 x 4 x 3, and a class token.
VISION = TransformerSize(
    width=192,
    heads=3,
    tokens=65,
    outputs=10,
    embedding_weights=(4 * 4 * 3 + 1) * 192 + 65 * 192 + 192,
    predicts_every_token=False,
)
TEXT = TransformerSize(width=64, heads=4, tokens=64, outputs=96, embedding_weights=160 * 64, predicts_every_token=True)


@pytest.mark.parametrize(
    ("depth", "blocks", "megabytes", "gigaflops", "upload"), [(6, 2, 74.0, 19.44, 3.57), (12, 6, 207.7, 46.66, 10.69)]
)
def test_costs_of_a_vision_transformer_are_the_golden_ones(depth, blocks, megabytes, gigaflops, upload):
    costs = layer_costs(VISION, depth, blocks, batch=32, optimizer_words=1)
    assert costs.peak_bytes / 1e6 == pytest.approx(megabytes, abs=0.05)
    assert costs.flops / 1e9 == pytest.approx(gigaflops, abs=0.005)
    assert costs.upload_bytes / 1e6 == pytest.approx(upload, abs=0.005)


def test_a_block_of_width_64_has_49984_weights():
    assert TEXT.block_weights == 4 * (64 * 64 + 64) + 64 * 256 + 256 + 256 * 64 + 64 + 4 * 64 == 49_984


def test_the_head_alone_works_within_its_forward_pass():
    costs = layer_costs(TEXT, 4, 0, batch=32)
    held = 4 * 49_984 + 160 * 64 + 2 * (128 + 65 * 96)
    assert costs.peak_bytes == 4 * (held + 10 * 32 * 64 * 64)
    assert costs.flops == 4 * (24 * 32 * 64 * 64**2 + 4 * 32 * 64**2 * 64) + 6 * 32 * 64 * 64 * 96


def test_a_window_at_the_end_costs_as_much_as_the_last_blocks():
    assert window_costs(TEXT, 6, 4, 2, 32) == layer_costs(TEXT, 6, 2, 32)
    early, late = window_costs(TEXT, 6, 0, 2, 32), window_costs(TEXT, 6, 4, 2, 32)
    assert early.upload_bytes == late.upload_bytes
    assert early.flops > late.flops
    assert early.peak_bytes > late.peak_bytes


def test_pairs_of_low_rank_upload_little_but_keep_as_much_as_all_blocks():
    pairs, whole = adapter_costs(TEXT, 4, 8, 32), layer_costs(TEXT, 4, 4, 32)
    assert pairs.upload_bytes == 4 * (4 * 18 * 64 * 8 + 128 + 65 * 96)
    assert pairs.upload_bytes < whole.upload_bytes / 4
    assert pairs.peak_bytes > whole.peak_bytes


def test_arrays_of_depths_and_blocks_broadcast():
    depth, blocks = np.array([[2], [4], [6]]), np.arange(3)
    costs = layer_costs(TEXT, depth, blocks, 32)
    for row, column in np.ndindex(3, 3):
        single = layer_costs(TEXT, int(depth[row, 0]), column, 32)
        assert costs.peak_bytes[row, column] == single.peak_bytes
        assert costs.flops[row, column] == single.flops
