"""Where everyone trains the same blocks of the same net, layer tuning is two-stage edge learning."""

import numpy as np
import pytest
from made_up_layers import MADE_UP_LAYERS
from random_layers import random_layers
from random_scenarios import random_allocation

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning import Allocation, as_two_stage
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

B = 4
# Shares that are powers of two, so that what is divided by them keeps its bits.
HALVES = {"share": [[0.5, 1.0], [0.25, 0.5, 1.0, 1.0], [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]]}
LAYERS = MADE_UP_LAYERS.replace(
    networks=HALVES, memory={"limit_byte": 64e6}, budgets={"max_rounds": 25, "delay_s": 60.0, "energy_j": 1e3}
)


def both_played(rng, scenario, depth, blocks, switch=0.3):
    """The same decisions in layer tuning, at one level, and in two-stage edge learning; trajectories of B episodes."""
    plain = as_two_stage(scenario, depth, blocks)
    tape = Tape.stack([sample_tape(scenario, seed) for seed in range(B)])
    drawn = [random_allocation(rng, plain, B, switch, 0.6) for _ in range(scenario.budgets.max_rounds)]

    def two_stage(observed):
        return drawn[int(observed.state.round_index.max())]

    def layers(observed):
        level = np.full(observed.state.battery_j.shape, blocks)
        return Allocation(**two_stage(observed)._asdict(), depth=np.full(B, depth), blocks=level)

    return rollout(scenario, tape, layers), rollout(plain, tape, two_stage)


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
@pytest.mark.parametrize(("depth", "blocks"), [(2, 1), (4, 2), (4, 4), (6, 1), (6, 6)])
def test_whole_episodes_are_bit_for_bit_the_same(rng, objective, depth, blocks):
    scenario = LAYERS.replace(learning={"objective": objective})
    ours, theirs = both_played(rng, scenario, depth, blocks)
    assert ours.num_finetune_rounds.max() > 3
    for name in ("counted", "end_reason", "duration_s", "energy_j", "server_j"):
        np.testing.assert_array_equal(getattr(ours.outcomes, name), getattr(theirs.outcomes, name), err_msg=name)
    for mine, its in zip(arrays_of(ours.outcomes.devices), arrays_of(theirs.outcomes.devices), strict=True):
        np.testing.assert_array_equal(mine, its)
    for name in ("round_index", "finetuning", "ended", "elapsed_s", "spent_j", "battery_j"):
        np.testing.assert_array_equal(getattr(ours.final_state, name), getattr(theirs.final_state, name), err_msg=name)
    # The learning bound too, as soon as somebody has taken part.
    share = scenario.levels.share[scenario.networks.place_of(depth), blocks - 1]
    tuned, place = theirs.final_state.bound_terms.participation > 0, scenario.networks.place_of(depth)
    psi = scenario.bound.value(ours.final_state.bound_terms)
    assert tuned.any()
    np.testing.assert_array_equal(psi[tuned], theirs.objective[tuned])
    np.testing.assert_array_equal(
        ours.final_state.bound_terms.participation, share * theirs.final_state.bound_terms.participation
    )
    floor, mu = scenario.networks.floor[place], scenario.learning.pl_constant
    np.testing.assert_array_equal(ours.objective[tuned], (floor + psi / (2 * mu))[tuned])


@pytest.mark.parametrize("seed", range(6))
def test_any_shares_and_unlike_data_give_the_same_to_rounding(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng, depths=(1, 3), memory="ample", num_devices=3, max_rounds=12)
    scenario = scenario.replace(learning={"dissimilarity": 3.0})
    ours, theirs = both_played(rng, scenario, 3, 2)
    np.testing.assert_array_equal(ours.final_state.battery_j, theirs.final_state.battery_j)
    tuned = theirs.final_state.bound_terms.participation > 0
    psi = scenario.bound.value(ours.final_state.bound_terms)
    np.testing.assert_allclose(psi[tuned], theirs.objective[tuned], rtol=1e-12)


def test_a_family_of_one_net_without_floor_earns_what_the_two_stage_environment_does(rng):
    networks = {name: np.asarray(getattr(LAYERS.networks, name))[-1:] for name in ("gap_factor", "distribution_factor")}
    rows = {name: np.asarray(getattr(LAYERS.networks, name))[-1:] for name in ("share", "noise_factor")}
    only = LAYERS.replace(networks={"depths": [6], "floor": [0.0], **networks, **rows})
    ours, theirs = both_played(rng, only, 6, 1)
    np.testing.assert_allclose(ours.outcomes.reward, theirs.outcomes.reward, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("depth", "blocks", "sentence"),
    [
        (3, 1, "depth must be one of networks.depths, 2, 4, 6, got 3"),
        (4, 5, "blocks must lie between 1 and the net's depth 4, got 5"),
        (4, 0, "blocks must lie between 1 and the net's depth 4, got 0"),
    ],
)
def test_what_is_no_level_is_refused(depth, blocks, sentence):
    with pytest.raises(InvalidInputError) as caught:
        as_two_stage(LAYERS, depth, blocks)
    assert str(caught.value) == sentence


def test_who_has_no_memory_for_a_level_is_named():
    with pytest.raises(InvalidInputError, match=r"memory\.limit_byte: device 2 has no memory to train 6 of 6 blocks"):
        as_two_stage(LAYERS.replace(memory={"limit_byte": [64e6] * 2 + [4e6] * 7}), 6, 6)
