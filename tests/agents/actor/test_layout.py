"""What the networks see of each system's observations, and how their decisions become its actions."""

import numpy as np
import pytest
from random_codings import random_coding
from random_layers import random_layers
from random_scenarios import random_scenario

from edgelearn_env.agents.actor.actor import Sizes, action_of, codec_of, decided_in, features
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.actor.static_plan import static_plan
from edgelearn_env.agents.configs.apg import APGConfig
from edgelearn_env.agents.configs.imitation import ImitationConfig
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.baselines.layer_tuning.policies.selections import by_rule
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.encoding import Codec
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

TINY, LAYERS = Scenario.preset("coded-tiny"), Scenario.preset("layers-tiny")


def test_features_of_coded_rounds_come_after_those_of_all_systems(rng):
    K = 4
    observation = rng.uniform(0.1, 1.0, (3, 7 + 6 * K)).astype(np.float32)
    seen = features(observation, K, num_shared=9)
    expected = [observation[:, :5], np.log(observation[:, 2:4]), observation[:, 17:19]]
    np.testing.assert_array_equal(seen.shared, np.concatenate(expected, axis=1))
    battery, gain, harvest = (observation[:, start : start + K] for start in (5, 9, 13))
    slow, tries, late = (observation[:, start : start + K] for start in (19, 23, 27))
    columns = [battery, gain, harvest, np.log(battery), slow, tries, late]
    np.testing.assert_array_equal(seen.own, np.stack(columns, axis=2))


@pytest.mark.parametrize("make", [random_scenario, random_coding, random_layers])
def test_what_is_decided_becomes_an_action_and_comes_back(rng, make):
    scenario = make(rng)
    codec = codec_of(scenario)
    sizes, K = Sizes.of(codec.layout), scenario.num_devices
    for_all, for_device = rng.normal(size=(5, sizes.decided_for_all)), rng.normal(size=(5, K, sizes.decided_for_device))
    action = action_of(for_all, for_device)
    assert action.shape == (5, codec.action_size)
    for found, expected in zip(decided_in(action, K, sizes.decided_for_all), (for_all, for_device), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(action[:, 3 : 3 + K], for_device[:, :, 0])


def test_entries_of_a_code_stand_where_the_codec_reads_them():
    for_all, for_device = np.full((1, 5), -1.0), np.full((1, 4, 4), -1.0)
    for_all[0, 4], for_device[0, 2, 3] = 1.0, 1.0
    named = Codec.of(TINY).decode(action_of(for_all, for_device))
    assert (named.edge_stragglers[0], named.device_stragglers[0]) == (0, 1)
    assert named.asked.tolist() == [[False, False, True, False]]


def decided_at_first(scenario):
    """What the start of training decides in a round in which all that is observed is 0."""
    start, codec = starting_point(scenario), codec_of(scenario)
    seen = start.standardised(np.zeros((1, codec.observation_size), dtype=np.float32))
    for_all = seen.shared @ start.server_weight.T + start.server_bias
    for_device = np.einsum("kij,bkj->bki", start.own_weight, seen.own) + start.own_bias
    return start, codec.decode(action_of(for_all, for_device))


def test_on_coded_rounds_training_starts_with_a_code_for_late_devices_and_asks_everyone():
    start, named = decided_at_first(TINY)
    assert start.sizes == Sizes(shared=9, own=7, decided_for_all=5, decided_for_device=4)
    assert (named.edge_stragglers[0], named.device_stragglers[0]) == (0, 1)
    assert np.all(named.asked)
    # Two devices compute each part, so parts have half the samples of the static plan.
    np.testing.assert_allclose(named.batch[0], np.maximum(static_plan(TINY).batch / 2, 1.0), rtol=0.05, atol=1)
    begun = TINY.bound.value(model_of(TINY).initial_state(1).bound_terms)
    assert np.exp(start.log_bound) < 0.1 * begun


def test_of_nets_training_starts_with_that_of_the_selection_rule_and_batches_that_memories_hold():
    start, named = decided_at_first(LAYERS)
    assert start.sizes == Sizes(shared=8, own=4, decided_for_all=4, decided_for_device=4)
    selection = by_rule(LAYERS)
    assert named.depth[0] == selection.depth
    np.testing.assert_array_equal(named.blocks[0], selection.blocks)
    place, each = LAYERS.networks.place_of(selection.depth), np.arange(LAYERS.num_devices)
    assert np.all(named.batch[0] <= LAYERS.levels.most_batch[place, selection.blocks - 1, each])
    assert np.all(named.batch[0] >= 1)
    model = model_of(LAYERS)
    assert np.exp(start.log_bound) < model.objective(model.initial_state(1))[0]


def test_ppo_trains_on_coded_rounds_and_its_checkpoint_plays_them_without_torch(tmp_path):
    pytest.importorskip("stable_baselines3")
    from edgelearn_env.agents.configs.ppo import PPOConfig
    from edgelearn_env.agents.ppo import train

    sizes = {"num_envs": 4, "rollout_steps": 16, "num_minibatches": 4, "hidden": 8, "critic_hidden": 8}
    config = PPOConfig(scenario="coded-tiny", total_steps=128, validation_tapes=3, **sizes)
    result = train(config, tmp_path)
    checkpoint = load(result.checkpoint)
    assert checkpoint.scenario == TINY
    tapes = Tape.stack([sample_tape(TINY, seed) for seed in range(3)])
    assert np.all(rollout(TINY, tapes, load_policy(result.checkpoint, TINY)).objective < 10)
    # Networks go to another scenario of the same system, not to one of another.
    other = Scenario.preset("coded")
    load_policy(result.checkpoint, other, transfer=True)
    with pytest.raises(InvalidInputError, match="system was 'gradient-coding', here it is 'two-stage'"):
        load_policy(result.checkpoint, Scenario.preset("tiny"), transfer=True)


@pytest.mark.parametrize(("scenario", "decided"), [(TINY, 5), (LAYERS, 4)], ids=["coded", "layers"])
def test_sac_trains_on_every_system(scenario, decided, tmp_path):
    pytest.importorskip("stable_baselines3")
    from edgelearn_env.agents.configs.sac import SACConfig
    from edgelearn_env.agents.sac import train

    sizes = {"hidden": 8, "critic_hidden": 8, "num_envs": 4}
    result = train(SACConfig(scenario=scenario.name, total_steps=200, validation_tapes=2, **sizes), tmp_path)
    assert load(result.checkpoint).actor.start.sizes.decided_for_all == decided


TRIMMED = "of a system whose rounds can be trimmed, 'two-stage' or 'layer-tuning'"


@pytest.mark.parametrize(
    ("config", "scenario", "sentence"),
    [
        (APGConfig, "coded-tiny", "of system 'two-stage', but 'coded-tiny' is of system 'gradient-coding'"),
        (APGConfig, "layers-tiny", "of system 'two-stage', but 'layers-tiny' is of system 'layer-tuning'"),
        (
            ImitationConfig,
            "coded-tiny",
            f"{TRIMMED}, but 'coded-tiny' is of system 'gradient-coding'",
        ),
    ],
)
def test_recipes_refuse_systems_whose_rounds_they_cannot_trim(config, scenario, sentence):
    with pytest.raises(InvalidInputError) as caught:
        _ = config(scenario=scenario).loaded_scenario
    assert str(caught.value) == f"scenario must be {sentence}"
