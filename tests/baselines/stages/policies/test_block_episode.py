"""Episodes in blocks of alike rounds."""

import numpy as np
import pytest

from edgelearn_env import Scenario
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode, Blocks, first_block
from edgelearn_env.baselines.stages.static.rounds import average_tape
from edgelearn_env.physics.compute import compute_energy_j

SCENARIO = Scenario.preset("tiny")

PAIRS = [(0, 1), (0, 2), (0, 6), (0, 65), (1, 1), (3, 2), (16, 6), (98, 66)]


def block_episode(scenario, pair: tuple[int, int]) -> BlockEpisode:
    blocks = Blocks.of(*pair)
    return BlockEpisode(
        scenario=scenario,
        tape=average_tape(scenario),
        num_pretrain_rounds=len(blocks.pretrain),
        num_finetune_rounds=len(blocks.finetune),
        blocks=blocks,
    )


@pytest.mark.parametrize("pair", PAIRS)
def test_blocks_hold_all_rounds_and_the_first_and_the_last_one_alone(pair):
    blocks = Blocks.of(*pair)
    assert (sum(blocks.pretrain), sum(blocks.finetune)) == pair
    sizes = [*blocks.pretrain, *blocks.finetune]
    assert sizes[0] == sizes[-1] == 1
    assert min(sizes) >= 1


@pytest.mark.parametrize("num_pretrain", [1, 16])
def test_without_fine_tuning_there_is_no_last_round_alone(num_pretrain):
    blocks = Blocks.of(num_pretrain, 0)
    assert (sum(blocks.pretrain), blocks.finetune) == (num_pretrain, ())


@pytest.mark.parametrize("pair", [(0, 65), (98, 66)])
def test_blocks_grow_with_their_distance(pair):
    for sizes in (Blocks.of(*pair).pretrain, Blocks.of(*pair).finetune[:-1]):
        assert list(sizes) == sorted(sizes)
    assert len(Blocks.of(*pair).pretrain) + len(Blocks.of(*pair).finetune) < 0.2 * sum(pair)


def test_a_block_is_as_far_away_as_its_middle_round():
    blocks = Blocks.of(5, 6)
    rounds = np.split(np.arange(11), np.cumsum([*blocks.pretrain, *blocks.finetune])[:-1])
    np.testing.assert_allclose(blocks.rounds_ahead, [np.mean(each) for each in rounds])


def test_all_rounds_of_a_plan_find_charge_in_the_batteries():
    scenario = SCENARIO.replace(energy={"harvest_mean_w": 0.0})
    episode = block_episode(scenario, (0, 12))
    times = EpisodeProgram(episode).solve().times
    decided = plan_from_times(episode, times).allocations
    freq_hz, batch, power_w = (rows[:-1] for rows in (decided.freq_hz, decided.batch, decided.power_w))
    devices, uplink = episode.devices, episode.uplink
    upload_s = uplink.nats_s / np.log1p(power_w / uplink.noise_w)
    computed_j = compute_energy_j(devices.capacitance_j_s2, devices.cycles_per_sample, batch, freq_hz)
    spent_j = episode.finetune_repeats @ (computed_j + power_w * upload_s)
    assert np.all(spent_j <= scenario.energy.battery_initial_j)
    assert np.max(spent_j / scenario.energy.battery_initial_j) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("pair", [(4, 3), (0, 5)])
def test_the_first_block_alone_is_played_as_in_the_whole_episode(pair):
    episode = block_episode(SCENARIO, pair)
    times = EpisodeProgram(episode).solve().times
    whole, alone = plan_from_times(episode, times), plan_from_times(*first_block(episode, times))
    for name, rows in whole.allocations._asdict().items():
        np.testing.assert_array_equal(getattr(alone.allocations, name)[0], rows[0], err_msg=name)
