"""Coded rounds on a local Ray cluster; `make test-cluster` makes the environment of its own that this needs."""

import warnings

import pytest

pytest.importorskip("ray")

import ray
from command_line import edgelearn
from late_devices import CHECKS, GROUPS

from edgelearn_env import InvalidInputError
from edgelearn_env.gradient_coding.execution.ray_engine import ray_engine

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of parts of its own


@pytest.fixture(scope="module")
def master():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ray_engine(GROUPS) as master:
            yield master


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_rounds(check, master):
    check(master)


def test_of_answers_that_are_ready_the_earliest_by_their_sites_clocks_are_taken(master):
    def waits(seconds: float, hub) -> float:
        hub.pause(seconds)
        return seconds

    group = master.start(waits, [0.2, 0.1, 0.0])
    assert [answer.answer for answer in group.first(3)] == [0.0, 0.1, 0.2]
    # All are ready now, and Ray would hand on the first that was asked.
    assert [answer.answer for answer in group.first(1)] == [0.0]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_an_address_without_a_cluster_is_refused_at_once(address, master):
    with pytest.raises(InvalidInputError, match=f"address must be that of a running Ray cluster, .*, got '{address}'"):
        ray_engine((1,), address).__enter__()


def test_the_command_prints_both_rounds(tmp_path):
    ray.shutdown()
    result = edgelearn("coded-round", "--engine", "ray", folder=tmp_path)
    assert result.status == 0, result.complaint
    assert "seconds with the code" in result.printed
