"""Training by imitation."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgelearn_env.agents.configs.imitation import ImitationConfig
from edgelearn_env.agents.imitation import Teachers, lessons_of, train
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.training_run import CurvePoint, Result
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.encoding import Codec as LayerCodec
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

TINY = Path(__file__).parents[1] / "tiny.toml"


def small(**changes) -> ImitationConfig:
    choices = {
        "scenario": TINY,
        "num_demonstrations": 3,
        "num_corrections": 2,
        "num_iterations": 2,
        "updates_each": 4,
        "minibatch_size": 16,
        "hidden": 8,
        "validation_tapes": 3,
        "validate_every": 3,
    }
    return ImitationConfig(**(choices | changes))


class Planned:
    """Stands for plans and expert: the myopic policy, after three rounds of pre-training. It counts its questions."""

    def __init__(self, scenario: Scenario) -> None:
        self._myopic = Myopic(constants=constants_of(scenario))
        self.asked = 0

    def __call__(self, observed: Observed):
        self.asked += 1
        return self._myopic(observed)._replace(switch=observed.state.round_index >= 3)

    def plans(self, scenario: Scenario, tapes: Tape):
        assert tapes.channel_gain.shape[0] == 3
        return [self] * 3


@pytest.fixture
def teachers(tiny) -> Teachers:
    return planned_teachers(tiny)


def planned_teachers(scenario: Scenario) -> Teachers:
    planned = Planned(scenario)
    return Teachers(plans=planned.plans, expert=planned)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Result, list[CurvePoint]]:
    """A run to its end, and what it reported."""
    seen, teachers = [], planned_teachers(Scenario.from_toml(TINY))
    return train(small(), tmp_path_factory.mktemp("whole"), teachers, on_progress=seen.append), seen


def test_a_run_trains_keeps_its_best_state_and_says_how_good_it_is(whole, tiny):
    result, seen = whole
    assert [point.share for point in result.curve] == sorted(point.share for point in result.curve)
    assert result.curve[0].share == 0.0
    assert result.curve[-1].share == 1.0
    assert len(seen) == 3 + 2 * 1 + 12  # plan by plan, then tapes together, and each update
    best = min(result.curve, key=lambda point: point.validation_objective)
    kept = load(result.checkpoint)
    assert (kept.recipe, kept.steps, kept.seed, kept.scenario) == ("imitation", best.steps, 0, tiny)
    assert kept.trims
    assert kept.validation_objective == result.best_objective == best.validation_objective
    load_policy(result.checkpoint, tiny)


@pytest.mark.parametrize("after", [2, 6, 12])
def test_an_interrupted_run_goes_on_to_the_last_bit_as_if_it_had_not_been(tmp_path, teachers, whole, after):
    seen, (whole, _) = [], whole

    def interrupt(progress: CurvePoint) -> None:
        seen.append(progress)
        if len(seen) == after:
            raise KeyboardInterrupt

    stopped = train(small(), tmp_path / "parts", teachers, on_progress=interrupt)
    assert stopped.interrupted
    assert len(stopped.curve) < len(whole.curve)
    resumed = train(small(), tmp_path / "parts", teachers)
    for name in CurvePoint._fields:
        if name != "seconds":
            ours, theirs = ([getattr(point, name) for point in result.curve] for result in (resumed, whole))
            np.testing.assert_array_equal(ours, theirs)
    assert resumed.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


@pytest.fixture
def tapes(tiny) -> Tape:
    return Tape.stack([sample_tape(tiny, seed) for seed in range(4)])


def test_lessons_are_what_the_teacher_does_where_it_decides_something(tiny, tapes):
    codec, teacher = Codec.of(tiny), Planned(tiny)
    lessons, played = lessons_of(codec, tapes, teacher)
    num_rounds = int(played.outcomes.counted.sum())
    assert teacher.asked == played.outcomes.counted.shape[1]
    assert [part.shape for part in lessons] == [(num_rounds, 14), (num_rounds, 12), (num_rounds, 12)]
    assert all(part.dtype == torch.float32 for part in lessons)
    first = played.outcomes.counted[0].sum()
    switch, weights = lessons.actions[:first, 0].numpy(), lessons.weights[:first].numpy()
    # Three rounds of pre-training, then the switch; from then on its entry says nothing.
    np.testing.assert_allclose(switch[:4], [-0.25, -0.15, -0.05, 0.05])
    np.testing.assert_array_equal(weights[:, 0], np.arange(first) <= 3)
    np.testing.assert_array_equal(weights[:, 1:3], np.repeat((np.arange(first) < 3)[:, None], 2, axis=1))
    np.testing.assert_allclose(weights[:, 3:], np.repeat((np.arange(first) >= 3)[:, None], 9, axis=1) / 3)
    # What was decided comes back from the actions.
    again = codec.decode(lessons.actions[:first].numpy())
    np.testing.assert_allclose(again.batch[3:], np.round(played.allocations.batch[0, 3:first]), atol=1)
    np.testing.assert_allclose(again.freq_hz[3:], played.allocations.freq_hz[0, 3:first], rtol=1e-5)


def test_of_a_device_that_is_to_be_silent_only_the_batch_is_a_lesson(tiny, tapes):
    codec, planned = Codec.of(tiny), Planned(tiny)

    def without_the_second(observed: Observed):
        decided = planned(observed)
        return decided._replace(batch=decided.batch * [1.0, 0.0, 1.0])

    lessons, played = lessons_of(codec, tapes, without_the_second)
    first = played.outcomes.counted[0].sum()
    weights, batches = lessons.weights[3:first, 3:].numpy(), lessons.actions[3:first, 9:].numpy()
    takes_part = played.allocations.batch[0, 3:first] >= 1
    assert np.any(takes_part)
    np.testing.assert_allclose(weights, np.hstack([takes_part, takes_part, np.ones_like(takes_part)]) / 3)
    np.testing.assert_array_equal(batches[:, 1], -1.0)
    np.testing.assert_array_equal(codec.decode(lessons.actions[3:first].numpy()).batch[:, 1], 0.0)


def test_another_plays_all_but_the_switch_and_the_teacher_is_asked_about_its_rounds(tiny, tapes):
    codec, teacher, other = Codec.of(tiny), Planned(tiny), Planned(tiny)

    def sparing(observed: Observed):
        decided = other(observed)
        return decided._replace(switch=~decided.switch, batch=np.ones_like(decided.batch))

    lessons, played = lessons_of(codec, tapes, teacher, sparing)
    np.testing.assert_array_equal(played.num_pretrain_rounds, 3)
    asked = teacher(Observed(*(_row(part, 4) for part in played.observed)))
    np.testing.assert_allclose(codec.encode_action(asked)[0, 3:], lessons.actions[4, 3:].numpy(), rtol=1e-5)
    np.testing.assert_array_equal(played.allocations.batch[0], 1.0)
    assert np.all(asked.batch[0] > 1)


def test_of_layers_the_net_is_a_lesson_until_the_switch_and_blocks_are_of_those_who_train():
    scenario = Scenario.preset("layers-tiny")
    codec, play = LayerCodec.of(scenario), RandomPlay(scenario, 0)
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(4)])

    def teacher(observed: Observed):
        decided = play(observed)
        return decided._replace(switch=observed.state.round_index >= 2, batch=decided.batch * [1.0, 0.0, 1.0])

    lessons, played = lessons_of(codec, tapes, teacher)
    first, num_devices = int(played.outcomes.counted[0].sum()), scenario.num_devices
    assert first > 3
    weights, takes_part = lessons.weights[:first].numpy(), played.allocations.batch[0, :first] >= 1
    depth, blocks = weights[:, 3 + 3 * num_devices], weights[:, 4 + 3 * num_devices :]
    np.testing.assert_array_equal(depth, np.arange(first) <= 2)
    np.testing.assert_allclose(blocks, takes_part * (np.arange(first) >= 2)[:, None] / num_devices)
    again = codec.decode(lessons.actions[:first].numpy())
    np.testing.assert_array_equal(again.depth, played.allocations.depth[0, :first])
    np.testing.assert_array_equal(again.blocks, played.allocations.blocks[0, :first])


def test_the_teacher_chooses_the_net_that_another_plays_with():
    scenario = Scenario.preset("layers-tiny")
    codec, play = LayerCodec.of(scenario), RandomPlay(scenario, 0)
    depths, tapes = scenario.networks.depths, Tape.stack([sample_tape(scenario, seed) for seed in range(4)])

    def with_net(place: int, observed: Observed):
        decided = play(observed)
        return decided._replace(switch=observed.state.round_index >= 2, depth=np.full(4, depths[place]))

    _, played = lessons_of(codec, tapes, partial(with_net, 0), partial(with_net, 1))
    chosen = played.final_state.depth[played.final_state.finetuning]
    assert chosen.size
    assert np.all(chosen == depths[0])


def _row(record, index: int):
    """The episodes of a record at one round."""
    fields = [_row(item, index) if isinstance(item, tuple) else item[:, index] for item in record]
    return type(record)(*fields)


def test_an_actor_learns_to_play_like_its_teacher(tmp_path, tiny, teachers):
    config = small(num_corrections=4, updates_each=100, validate_every=100, minibatch_size=64, hidden=16)
    result = train(config, tmp_path, teachers)
    expected = np.exp(np.mean(np.log(_validation(tiny, teachers.expert))))
    distances = [abs(np.log(point.validation_objective / expected)) for point in (result.curve[0], result.curve[-1])]
    assert distances[1] < 0.5 * distances[0]


def _validation(scenario: Scenario, policy) -> np.ndarray:
    from edgelearn_env.tapes.seeds import validation_seeds

    tapes = Tape.stack([sample_tape(scenario, seed) for seed in validation_seeds(3)])
    return rollout(scenario, tapes, policy).objective


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_demonstrations": 0}, "num_demonstrations must be at least 1, got 0"),
        ({"num_iterations": -1}, "num_iterations must be at least 0, got -1"),
        ({"scenario": "huge"}, "unknown scenario preset 'huge'"),
    ],
)
def test_wrong_choices_are_refused_by_name(tmp_path, teachers, changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        train(small(**changes), tmp_path, teachers)
