"""Trimming of whole systems: at one level a round of layers is trimmed as two-stage rounds are."""

import numpy as np
import pytest

from edgelearn_env.agents.actor.trimmer import trimmer
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning import as_two_stage
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.dynamics import played_levels
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.records import State
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

SYSTEM = Scenario.preset("layers-tiny")
# Shares that are powers of two, so that what is divided by them keeps its bits; like data, and memory for all.
ALIKE = SYSTEM.replace(
    networks={"share": np.exp2(np.round(np.log2(SYSTEM.networks.share)))},
    memory={"limit_byte": 1e12},
    learning={"dissimilarity": 0.0},
)


@pytest.fixture
def tapes() -> Tape:
    return Tape.stack([sample_tape(SYSTEM, seed) for seed in range(16)])


@pytest.mark.parametrize(("place", "blocks"), [(0, 1), (1, 1), (1, 2)])
def test_where_all_train_the_same_blocks_rounds_are_trimmed_as_two_stage_rounds_are(tapes, place, blocks):
    depth, share = int(ALIKE.networks.depths[place]), ALIKE.levels.share[place, blocks - 1]
    plain = as_two_stage(ALIKE, depth, blocks)
    decide, ours, theirs, changed = RandomPlay(ALIKE, 0), trimmer(ALIKE), trimmer(plain), []

    def policy(observed: Observed):
        decided = decide(observed)
        level = {"depth": np.full(len(decided.batch), depth), "blocks": np.full(decided.batch.shape, blocks)}
        decided = decided._replace(switch=observed.state.round_index >= 1, **level)
        played = ours(observed, decided)
        expected = theirs(Observed(_as_two_stage(observed.state, share), observed.conditions), decided.staged)
        np.testing.assert_array_equal(played.batch, expected.batch)
        np.testing.assert_array_equal(played.freq_hz, expected.freq_hz)
        changed.append([np.any(played.freq_hz != decided.freq_hz), np.any(played.batch != decided.batch)])
        return played

    rollout(ALIKE, tapes, policy)
    assert np.all(np.any(changed, axis=0))


def _as_two_stage(state, share: float) -> State:
    """The state of an episode in which every round counts that share of what it does in two-stage edge learning."""
    terms = state.bound_terms
    scaled = {"finetune_term": terms.finetune_term / share, "participation": terms.participation / share}
    fields = {name: getattr(state, name) for name in State._fields}
    return State(**fields)._replace(bound_terms=terms._replace(**scaled))


@pytest.mark.parametrize("as_many_as_fit", [False, True])
def test_a_round_is_trimmed_at_the_blocks_that_are_played_and_never_grows_beyond_a_memory(tapes, as_many_as_fit):
    # So little of both that the last rounds come soon, and may be larger than was decided.
    system = SYSTEM.replace(budgets={"delay_s": 2.0, "energy_j": 0.1})
    constants = LayerConstants.of(system)
    decide, trim, grown = RandomPlay(system, 0), trimmer(system), []

    def policy(observed: Observed):
        decided = decide(observed)._replace(switch=observed.state.round_index >= 0)
        decided = decided._replace(batch=np.full(decided.batch.shape, 8.0), blocks=decided.blocks + as_many_as_fit * 9)
        played, levels = trim(observed, decided), played_levels(constants, observed.state, decided)
        np.testing.assert_array_equal(played.blocks, levels.blocks)
        kept = played.batch >= 1
        again = played_levels(constants, observed.state, played)
        np.testing.assert_array_equal(again.blocks[kept], levels.blocks[kept])
        grown.append(np.any(played.batch > decided.batch))
        return played

    rollout(system, tapes, policy)
    assert np.any(grown)


def test_rounds_with_codes_are_not_trimmed():
    with pytest.raises(InvalidInputError, match=r"whose rounds can be trimmed, .* is of system 'gradient-coding'"):
        trimmer(Scenario.preset("coded-tiny"))
