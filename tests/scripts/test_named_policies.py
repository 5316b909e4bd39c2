"""Policies by name: what is played, how often, and what is refused."""

import dataclasses
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress

from edgelearn_env.agents.runs.checkpoint import Checkpoint
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts import policies
from edgelearn_env.scripts.asked_policies import asked_policies
from edgelearn_env.scripts.policies import named_policies
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.tapes.seeds import TUNING


def trained(scenario, **about) -> Checkpoint:
    """A checkpoint whose actor plays like the myopic policy."""
    choices = {
        "actor": SimpleNamespace(policy=lambda scenario, trims: Myopic(constants=constants_of(scenario))),
        "scenario": scenario,
        "recipe": "ppo",
        "trims": False,
        "config": {"learning_rate": 1e-3, "seed": about.get("seed", 0)},
        "seed": 0,
        "steps": 100,
        "validation_objective": 0.5,
        "num_validation_tapes": 7,
        "versions": {},
    }
    checkpoint = object.__new__(Checkpoint)  # no test of actors: any will do
    for field in dataclasses.fields(Checkpoint):
        object.__setattr__(checkpoint, field.name, (choices | about)[field.name])
    return checkpoint


@pytest.fixture
def read() -> list[str]:
    """Which checkpoints were read, each time."""
    return []


@pytest.fixture
def named(tiny, monkeypatch, read):
    """`named_policies` with the checkpoints a.zip, b.zip, ..., of seeds 0, 1, ..."""
    files = {f"{letter}.zip": trained(tiny, seed=seed) for seed, letter in enumerate("abc")}
    files["again.zip"] = trained(tiny, seed=0)
    files["faster.zip"] = trained(tiny, seed=5, config={"learning_rate": 1e-2, "seed": 5})
    files["other.zip"] = trained(tiny, seed=6, recipe="apg")
    files["tests.zip"] = trained(tiny, seed=TUNING)
    monkeypatch.setattr(policies, "load", lambda file: read.append(file) or files[file])
    console = Console(quiet=True)

    def found(*texts: str):
        with Progress(console=console) as progress:
            return named_policies(tiny, texts, progress)

    return found


def test_names_are_played_in_their_order_each_as_what_it_is(named):
    chosen = named(" equal , a.zip,random,")
    assert [(policy.name, policy.kind) for policy in chosen] == [
        ("equal", "online"),
        ("a.zip", "learned"),
        ("random", "online"),
    ]
    assert [len(policy.trained) for policy in chosen] == [0, 1, 0]


def test_several_runs_of_one_recipe_are_one_policy(named):
    [policy] = named("mine=a.zip+b.zip+c.zip")
    assert (policy.name, policy.kind, len(policy.runs)) == ("mine", "learned", 3)
    assert [(run["file"], run["seed"], run["recipe"]) for run in policy.trained] == [
        ("a.zip", 0, "ppo"),
        ("b.zip", 1, "ppo"),
        ("c.zip", 2, "ppo"),
    ]
    assert policy.trained[0]["config"]["learning_rate"] == 1e-3
    assert "actor" not in policy.trained[0]


def test_every_checkpoint_is_read_once(named, read):
    named("mine=a.zip+b.zip,c.zip")
    assert read == ["a.zip", "b.zip", "c.zip"]


def test_texts_follow_one_another(named):
    assert [policy.name for policy in named("equal,a.zip", "random", "mine=b.zip+c.zip")] == [
        "equal",
        "a.zip",
        "random",
        "mine",
    ]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("runs/lr=0.001/checkpoint.zip", [("runs/lr=0.001/checkpoint.zip", None)]),
        ("equal,runs/lr=0.001/checkpoint.zip", [("equal", None), ("runs/lr=0.001/checkpoint.zip", None)]),
        (r"runs\lr=0.001\checkpoint.zip", [(r"runs\lr=0.001\checkpoint.zip", None)]),
        ("mine=runs/lr=0.001/1.zip+runs/lr=0.001/2.zip", [("mine", ("runs/lr=0.001/1.zip", "runs/lr=0.001/2.zip"))]),
        ("there/a,b=c+d.zip", [("there/a,b=c+d.zip", None)]),
        ("lr=0.001.zip", [("lr=0.001.zip", None)]),
        ("mine=there/a,b=c+d.zip", [("mine", ("there/a,b=c+d.zip",))]),
        ("mine=lr=0.001.zip+there/1,2.zip", [("mine", ("lr=0.001.zip", "there/1,2.zip"))]),
        ("mine=a.zip+b.zip,other=c.zip", [("mine", ("a.zip", "b.zip")), ("other", ("c.zip",))]),
        ("not/a,b.zip", [("not/a", None), ("b.zip", None)]),
        ("equal,mine=lr=0.001.zip", [("equal", None), ("mine", ("lr=0.001.zip",))]),
    ],
)
def test_a_path_may_hold_what_separates_policies(text, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for file in ("lr=0.001.zip", "there/a,b=c+d.zip", "there/1,2.zip"):
        (tmp_path / file).touch()
    assert asked_policies([text]) == [(name, sources or (name,)) for name, sources in asked]


def test_a_checkpoint_may_be_given_the_name_of_a_recipe(named):
    assert [policy.name for policy in named("ppo=a.zip+b.zip")] == ["ppo"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("best", "unknown policy 'best': choose from random"),
        ("apg", "no checkpoint of apg on 'tiny' comes with the package: train one"),
        ("", "a policy needs a name, got ''"),
        (" , ", "a policy needs a name, got ' , '"),
        ("(no gain)=a.zip", "names in brackets are those of bounds and ablations, got the policy '(no gain)'"),
        ("mine=best+a.zip", "unknown policy 'best'"),
        ("mine=", "unknown policy ''"),
        ("=a.zip", "needs a name of its own, got '=a.zip'"),
        ("equal,random,equal", "needs a name of its own, got 'equal' besides"),
        ("clairvoyant=a.zip", "needs a name of its own"),
        ("equal=a.zip", "'equal' is a policy that does not learn: give 'a.zip' another name"),
        ("mine=a.zip+again.zip", "two of a.zip, again.zip were trained with the same seed"),
        (
            "mine=a.zip+faster.zip",
            "a.zip and faster.zip are no runs of one recipe: learning_rate was 0.001 in one and 0.01 in the other",
        ),
        ("mine=a.zip+other.zip", "recipe was 'ppo' in one and 'apg' in the other"),
        ("tests.zip", f"'tests.zip' was trained with seed {TUNING}, so it may know the tapes of tests"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_sentence(named, names, sentence):
    with pytest.raises(InvalidInputError) as caught:
        named(names)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_checkpoints_of_the_scenario_s_own_system_are_proposed(named):
    with pytest.raises(InvalidInputError) as caught:
        named("best")
    assert "apg-default-0" in str(caught.value)
    assert "imitation-layers-0" not in str(caught.value)


@pytest.mark.parametrize("name", ["ppo", "ppo-default"])
def test_a_recipe_is_played_by_all_of_its_runs_that_come_with_the_package(name):
    with Progress(console=Console(quiet=True)) as progress:
        (policy,) = named_policies(Scenario.preset("default"), [name], progress)
    assert (policy.name, policy.kind) == (name, "learned")
    assert [about["file"] for about in policy.trained] == [f"ppo-default-{seed}" for seed in range(3)]
    assert [about["seed"] for about in policy.trained] == [0, 1, 2]
    assert len(policy.runs) == 3


def test_a_policy_that_cannot_be_made_is_named_in_the_sentence():
    hopeless = Scenario.preset("tiny").replace(learning={"upload_bit": 1e12})
    with Progress(console=Console(quiet=True)) as progress, pytest.raises(InvalidInputError) as caught:
        named_policies(hopeless, ["lyapunov", "fixed"], progress)
    assert str(caught.value).startswith("fixed: budgets.delay_s = 15 s is too small")
