"""Fixtures of the whole suite, and the one hypothesis profile: the same examples on every run."""

import os
from pathlib import Path

# Before torch is loaded, here and in processes that tests begin: threads that wait for cores they do not get take many
# times as long as one thread, and files of tests are shared out among the cores as it is.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import joblib
import numpy as np
import pytest
from beartype import BeartypeConf
from beartype.claw import beartype_package

# Before the first import of the package, so that the annotations of its functions are checked while testing. Left out
# are variables (a mapping of protocol classes cannot be checked at run time) and the modules whose job is to refuse
# values of a wrong type themselves, and the one whose classes Ray takes apart.
beartype_package(
    "edgelearn_env",
    conf=BeartypeConf(
        claw_is_pep526=False,
        is_pep484_tower=True,
        claw_skip_package_names=(
            "edgelearn_env.gradient_coding.codes.layout",
            "edgelearn_env.gradient_coding.execution.ray_engine",
            "edgelearn_env.gradient_coding.run_time.cluster",
            "edgelearn_env.scenarios",
            "edgelearn_env.tapes.tape",
            "edgelearn_env.stages.scenario",
            "edgelearn_env.two_stage.scenario",
            "edgelearn_env.gradient_coding.scenario",
            "edgelearn_env.layer_tuning.networks",
            "edgelearn_env.layer_tuning.scenario",
        ),
    ),
)

from edgelearn_env.scenarios.scenario import Scenario  # noqa: E402
from edgelearn_env.tapes.tape import Tape, sample_tape  # noqa: E402

hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None, max_examples=40)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True, scope="session")
def one_process():
    """Jobs are shared among processes where a test asks for it: each process loads for longer than most jobs take."""
    with joblib.parallel_config(n_jobs=1):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240406)


@pytest.fixture
def tiny() -> Scenario:
    """Three devices, thirty rounds; no preset, so that tuning those leaves hand values alone."""
    return Scenario.from_toml(Path(__file__).parent / "tiny.toml")


@pytest.fixture
def tiny_tape(tiny: Scenario) -> Tape:
    return sample_tape(tiny, 7)
