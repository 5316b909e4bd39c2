"""Episodes played in two ways, held against each other to the last bit: what every kernel is judged by."""

import numpy as np
from gymnasium.utils.env_checker import data_equivalence

from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Episodes
from edgelearn_env.tapes.tape import Tape


def assert_same(left, right):
    """Equal to the last bit, types included."""
    assert (left.dtype, left.shape) == (right.dtype, right.shape)
    np.testing.assert_array_equal(left, right)
    # The two zeros are equal, and not the same.
    if left.dtype.kind == "f":
        sound = ~np.isnan(left)
        np.testing.assert_array_equal(np.signbit(left)[sound], np.signbit(right)[sound])


def assert_same_episodes(ours: Episodes, theirs: Episodes, some: np.ndarray):
    """Of all that either shows, of all episodes and of some."""
    mapped(assert_same, ours.records(), theirs.records())
    for rows in (None, some):
        assert_same(ours.observation(rows), theirs.observation(rows))
        assert data_equivalence(ours.info(rows), theirs.info(rows), exact=True)
    assert_same(ours.ended, theirs.ended)
    assert_same(ours.reward, theirs.reward)


def uneven_actions(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Of a kind with episodes of many lengths, some of it beyond the limits, some at them."""
    actions = np.clip(rng.uniform(-1.3, 1.3, shape), -1.1, 1.1).astype(np.float32)
    actions[..., 0] -= 0.5
    return actions


def assert_played_the_same(rng: np.random.Generator, ours: Episodes, theirs: Episodes, model, tapes: Tape):
    """Round by round through whole episodes, on drawn and on given tapes, some begun anew on the way.

    Args:
        rng: decides.
        ours, theirs: B episodes each.
        model: of both.
        tapes: that may be given, (B, T, K).
    """
    batch_size = len(tapes.channel_gain)

    def begin(rows):
        if rng.random() < 0.5:
            for episodes in (ours, theirs):
                episodes.begin_given(rows, tapes)
        else:
            named = rng.integers(2**63, size=len(rows)), rng.integers(2**40, size=len(rows))
            for episodes in (ours, theirs):
                episodes.begin(rows, *named)

    begin(np.arange(batch_size))
    # One round more than there are, for an episode that has ended.
    for _ in range(model.scenario.budgets.max_rounds + 1):
        some = np.flatnonzero(rng.random(batch_size) < 0.3)
        assert_same_episodes(ours, theirs, some)
        action = uneven_actions(rng, (batch_size, model.codec.action_size))
        ours.play(action)
        theirs.play(action)
        if some.size and rng.random() < 0.1:
            begin(some)
    assert_same_episodes(ours, theirs, np.arange(batch_size))
