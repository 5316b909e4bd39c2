"""Coded rounds on processes of this machine."""

import pytest
from late_devices import CHECKS, GROUPS, code, delays

from edgelearn_env.gradient_coding.execution.coded_round import coded_round
from edgelearn_env.gradient_coding.execution.process_engine import process_engine
from edgelearn_env.gradient_coding.execution.softmax_regression import SoftmaxRegression


@pytest.fixture(scope="module")
def master():
    with process_engine(GROUPS) as master:
        yield master


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_rounds(check, master):
    check(master)


def test_what_goes_wrong_on_a_device_is_told_to_the_master(master):
    wrong = SoftmaxRegression(samples_a_part=-1)
    with pytest.raises(ValueError, match="negative dimensions"):
        coded_round(master, code(1, 1), wrong, wrong.weights(), delays())
