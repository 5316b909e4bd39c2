import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgelearn_env.agents.actor.actor import NUM_TRAITS, Actor, Features, Network, Start
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.runs.checkpoint import (
    RECIPES,
    VERSION,
    Checkpoint,
    installed_versions,
    load,
    load_policy,
    save,
    shipped_checkpoints,
    shipped_runs,
)
from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.seeds import test_seeds as seeds_of_tests
from edgelearn_env.tapes.seeds import validation_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Policy, rollout

H = 4


def network(rng, inputs: int, outputs: int) -> Network:
    shapes = [(H, inputs), (H,), (H, H), (H,), (outputs, H + inputs), (outputs,)]
    return Network(*(0.2 * rng.normal(size=shape) for shape in shapes))


def random_actor(rng, num_devices: int) -> Actor:
    start = Start(
        mean=Features(rng.random(7), rng.random((num_devices, 4))),
        std=Features(0.1 + rng.random(7), 0.1 + rng.random((num_devices, 4))),
        server_weight=rng.normal(size=(3, 7)),
        server_bias=rng.normal(size=3),
        own_weight=rng.normal(size=(num_devices, 3, 4)),
        own_bias=rng.normal(size=(num_devices, 3)),
        traits=rng.normal(size=(num_devices, NUM_TRAITS)),
        log_bound=np.array(-1.0),
    )
    actor = Actor(start, network(rng, 15, 3), network(rng, 19 + NUM_TRAITS, 3))
    return mapped(lambda array: array.astype(np.float32), actor)


@pytest.fixture
def checkpoint(rng, tiny) -> Checkpoint:
    return Checkpoint(
        actor=random_actor(rng, 3),
        scenario=tiny,
        recipe="ppo",
        trims=True,
        config={"seed": 3, "learning_rate": 1e-3},
        seed=3,
        steps=123,
        validation_objective=0.5,
        num_validation_tapes=7,
        versions=installed_versions(),
    )


@pytest.fixture
def path(checkpoint, tmp_path) -> Path:
    save(checkpoint, tmp_path / "agent.zip")
    return tmp_path / "agent.zip"


def rewritten(path: Path, **changes: bytes | None) -> Path:
    """The file with some members replaced, or left out where None."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()} | changes
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            if content is not None:
                file.writestr(name, content)
    return path


def test_a_checkpoint_read_again_is_the_one_written_and_acts_the_same(checkpoint, path, tiny):
    again = load(path)
    for field in dataclasses.fields(checkpoint):
        if field.name != "actor":
            assert getattr(again, field.name) == getattr(checkpoint, field.name)
    mapped(np.testing.assert_array_equal, again.actor, checkpoint.actor)
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in range(5)])
    played = [
        rollout(tiny, tapes, policy) for policy in (load_policy(path, tiny), checkpoint.actor.policy(tiny, trims=True))
    ]
    mapped(np.testing.assert_array_equal, played[0].allocations, played[1].allocations)


def test_equal_checkpoints_make_equal_files(checkpoint, path, tmp_path):
    save(checkpoint, tmp_path / "other.zip")
    assert path.read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_the_network_is_the_formula_it_states(rng):
    net = network(rng, 5, 3)
    x = rng.normal(size=5)
    h_1 = np.tanh(net.weight_1 @ x + net.bias_1)
    h_2 = np.tanh(net.weight_2 @ h_1 + net.bias_2)
    expected = net.weight_3 @ np.concatenate([h_2, x]) + net.bias_3
    np.testing.assert_allclose(net.output(np.stack([x, x])), [expected, expected], rtol=1e-12)


def test_an_actor_treats_devices_alike_but_for_what_is_their_own(rng):
    actor, order = random_actor(rng, 3), [2, 0, 1]
    observation = rng.random((6, 14)).astype(np.float32)

    def moved(rows: np.ndarray, first: int) -> np.ndarray:
        parts = rows[..., first:].reshape(*rows.shape[:-1], 3, 3)[..., order]
        return np.concatenate([rows[..., :first], parts.reshape(*rows.shape[:-1], 9)], axis=-1)

    own = {name: getattr(actor.start, name)[order] for name in ("own_weight", "own_bias", "traits")}
    start = actor.start
    moments = {
        "mean": start.mean._replace(own=start.mean.own[order]),
        "std": start.std._replace(own=start.std.own[order]),
    }
    permuted = actor._replace(start=start._replace(**own, **moments))
    np.testing.assert_allclose(
        permuted.action(moved(observation, 5)), moved(actor.action(observation), 3), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"devices": {"freq_max_hz": 2e9}}, r"devices.freq_max_hz was \[1.18e\+09.*\], here it is \[2e\+09"),
        ({"budgets": {"delay_s": 16.0}}, "budgets.delay_s was 15, here it is 16"),
        ({"learning": {"objective": "two-stage"}}, "learning.objective was 'finetune', here it is 'two-stage'"),
    ],
)
def test_another_scenario_is_refused_naming_the_first_difference(path, tiny, changes, sentence):
    with pytest.raises(InvalidInputError, match=rf"agent.zip' was trained for another scenario: {sentence}"):
        load_policy(path, tiny.replace(**changes))


def test_another_number_of_devices_is_what_is_named_first(path):
    with pytest.raises(InvalidInputError, match=r"devices\.num_devices was 3, here it is 10"):
        load_policy(path, Scenario.preset("default"))


def test_a_scenario_of_another_name_is_the_same_scenario(path, tiny):
    load_policy(path, tiny.replace(name="mine"))


def test_an_agent_plays_another_number_of_devices_if_it_may_with_what_it_has_learnt(checkpoint, path):
    many = Scenario.preset("default")
    tape = sample_tape(many, 1)
    expected = checkpoint.actor._replace(start=starting_point(many)).policy(many, trims=True)
    played = [rollout(many, tape, policy) for policy in (load_policy(path, many, transfer=True), expected)]
    mapped(np.testing.assert_array_equal, played[0].allocations, played[1].allocations)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_refused(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InvalidInputError, match=r"agent\.zip' is damaged or not a checkpoint: "):
        load(path)


def test_flipped_bytes_are_refused(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="is damaged or not a checkpoint"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"checkpoint.json": None}, "no item named 'checkpoint.json'"),
        ({"checkpoint.json": b"{}"}, "does not say 'edgelearn-env checkpoint' of version 3"),
        ({"checkpoint.json": b"[1"}, ""),
        ({"start.own_bias.npy": None}, "missing or foreign arrays start.own_bias"),
        ({"extra.npy": b"?"}, ""),
        ({"start.own_bias.npy": b"?"}, ""),
    ],
)
def test_zip_files_that_are_no_checkpoints_are_refused(path, changes, sentence):
    rewritten(path, **changes)
    with pytest.raises(InvalidInputError, match=f"damaged or not a checkpoint: .*{sentence}"):
        load(path)


def test_a_later_version_is_refused(path):
    with zipfile.ZipFile(path) as file:
        about = json.loads(file.read("checkpoint.json"))
    rewritten(path, **{"checkpoint.json": json.dumps(about | {"version": VERSION + 1}).encode()})
    with pytest.raises(InvalidInputError, match="of version 3"):
        load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(checkpoint, tmp_path, value):
    checkpoint.actor.start.own_bias[0, 0] = value
    save(checkpoint, tmp_path / "agent.zip")
    with pytest.raises(InvalidInputError, match=r"start.own_bias must hold finite float32 numbers of shape \(3, 3\)"):
        load(tmp_path / "agent.zip")


def test_weights_of_another_shape_are_refused(checkpoint, tmp_path):
    actor = checkpoint.actor
    wrong = actor._replace(start=actor.start._replace(server_bias=np.zeros(9, np.float32)))
    save(dataclasses.replace(checkpoint, actor=wrong), tmp_path / "agent.zip")
    with pytest.raises(InvalidInputError, match=r"server_bias must hold finite float32 numbers of shape \(3,\)"):
        load(tmp_path / "agent.zip")


def test_missing_files_and_unknown_names_are_refused(tmp_path, tiny):
    with pytest.raises(InvalidInputError, match=r"checkpoint file .*nothing\.zip' does not exist"):
        load(tmp_path / "nothing.zip")
    with pytest.raises(InvalidInputError, match="unknown checkpoint 'best': choose one of apg-default-0, "):
        load("best")
    with pytest.raises(InvalidInputError, match="no checkpoint of ppo on 'tiny' comes with the package") as caught:
        load_policy("ppo", tiny)
    assert str(caught.value).endswith("train one (`edgelearn train --recipe ppo -s tiny`) and name its file")
    with pytest.raises(InvalidInputError, match=r"path must end in \.zip"):
        save(load("ppo-default-0"), tmp_path / "agent.bin")


def test_three_runs_of_every_recipe_come_with_the_package_and_the_first_is_played():
    for recipe in RECIPES:
        runs = shipped_runs(f"{recipe}-default")
        assert runs == tuple(f"{recipe}-default-{seed}" for seed in range(3))
        loaded = [load(name) for name in runs]
        assert [(run.recipe, run.seed) for run in loaded] == [(recipe, seed) for seed in range(3)]
        assert all(run.config | {"seed": 0} == loaded[0].config for run in loaded)
    on_layers = shipped_runs("imitation-layers")
    assert [load(name).seed for name in on_layers] == [0, 1, 2]
    assert sorted(shipped_checkpoints()) == sorted(
        [*on_layers, *(name for r in RECIPES for name in shipped_runs(f"{r}-default"))]
    )
    scenario = Scenario.preset("default")
    tape = sample_tape(scenario, 0)
    first, by_recipe = (rollout(scenario, tape, load_policy(name, scenario)) for name in ("ppo-default-0", "ppo"))
    np.testing.assert_array_equal(first.objective, by_recipe.objective)


def objective(scenario: Scenario, seeds: range, policy: Policy) -> np.ndarray:
    return rollout(scenario, Tape.stack([sample_tape(scenario, seed) for seed in seeds]), policy).objective


def assert_it_keeps_its_word(name: str, num_validation_tapes: int, num_tests: int) -> None:
    """A shipped agent is as good as it says, on so many of its validation tapes, and on test tapes, unlike chance."""
    scenario, shipped = Scenario.preset(name.split("-")[1]), load(name)
    policy = load_policy(name, scenario)
    log = np.log(objective(scenario, validation_seeds(num_validation_tapes), policy))
    all_of_them = num_validation_tapes == shipped.num_validation_tapes
    distance = 1e-3 if all_of_them else 4 * np.std(log) / np.sqrt(num_validation_tapes)
    np.testing.assert_allclose(np.mean(log), np.log(shipped.validation_objective), rtol=0, atol=distance)
    trained = objective(scenario, seeds_of_tests(num_tests), policy)
    played_at_random = objective(scenario, seeds_of_tests(4), RandomPlay(scenario, seed=0))
    assert np.exp(np.log(trained).mean()) < 1.1 * shipped.validation_objective
    assert np.quantile(trained, 0.9) < 0.2 * played_at_random.min()


@pytest.mark.parametrize("name", [name for name in shipped_checkpoints() if name.endswith("-0")])
def test_a_shipped_agent_beats_random_play_by_far_and_keeps_its_word_on_some_tapes(name):
    assert_it_keeps_its_word(name, min(100, load(name).num_validation_tapes), 30)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_checkpoints())
def test_a_shipped_agent_keeps_its_word_on_all_validation_tapes(name):
    assert_it_keeps_its_word(name, load(name).num_validation_tapes, 100)
