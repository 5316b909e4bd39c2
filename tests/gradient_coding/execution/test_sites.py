"""Pauses that end early, and answers in the order of their sites' clocks."""

import itertools
import time

import pytest

from edgelearn_env.gradient_coding.execution.sites import SLICE_S, Finished, Stopped, done, earliest, pause_unless


def test_the_earliest_are_chosen_by_their_clocks_not_by_their_order():
    answers = [Finished(member, "", 0.0, finished_s) for member, finished_s in enumerate([3.0, 1.0, 2.0])]
    assert [answer.member for answer in earliest([None, *answers], 2)] == [1, 2]


def test_a_pause_lasts_as_long_as_it_should():
    begun_s = time.perf_counter()
    pause_unless(lambda: False, 3.5 * SLICE_S)
    assert time.perf_counter() - begun_s >= 3.5 * SLICE_S


def test_a_pause_ends_when_it_is_told_to_stop():
    asked = itertools.count()
    with pytest.raises(Stopped):
        pause_unless(lambda: next(asked) == 3, 3600.0)
    assert next(asked) == 4


class Stopping:
    """A site that is to stop."""

    def pause(self, seconds: float) -> None:
        raise Stopped


def test_work_has_its_times_and_stopped_work_no_answer():
    before_s = time.time()
    answer = done(lambda task, site: task + 1, 1, Stopping(), 5)
    assert answer[:2] == (5, 2)
    assert before_s <= answer.begun_s <= answer.finished_s <= time.time()

    assert done(lambda task, site: site.pause(task), 1.0, Stopping(), 5) is None
