import itertools

import pytest

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes import seeds

PURPOSES = {
    "training": (seeds.training_seeds, 0),
    "tuning": (seeds.tuning_seeds, seeds.TUNING),
    "validation": (seeds.validation_seeds, seeds.VALIDATION),
    "test": (seeds.test_seeds, seeds.TEST),
}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_seeds_begin_where_their_range_does(purpose):
    chosen, first = PURPOSES[purpose]
    assert list(chosen(3)) == [first, first + 1, first + 2]
    assert len(chosen(0)) == 0


def test_no_two_purposes_share_a_seed_even_when_all_are_asked_for():
    ranges = [chosen(1_000_000) for chosen, _ in PURPOSES.values()]
    for one, other in itertools.pairwise(ranges):
        assert one.stop == other.start


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("count", [1_000_001, 2_000_000, -1])
def test_more_seeds_than_the_range_has_are_refused_naming_count_and_range(purpose, count):
    chosen, first = PURPOSES[purpose]
    sentence = f"{purpose} seeds are {first} to {first + 999_999}, got a request for {count} from {first} on"
    with pytest.raises(InvalidInputError, match=sentence):
        chosen(count)


def test_training_seeds_may_begin_anywhere_below_the_tuning_ones():
    assert list(seeds.training_seeds(2, 999_998)) == [999_998, 999_999]
    for first in (999_999, seeds.TEST, -1):
        with pytest.raises(InvalidInputError, match=f"got a request for 2 from {first} on"):
            seeds.training_seeds(2, first)


@pytest.mark.parametrize("seed", [0, seeds.TUNING, seeds.VALIDATION, seeds.TEST - 1, seeds.END])
def test_results_on_other_seeds_than_those_for_tests_are_refused(seed):
    with pytest.raises(InvalidInputError, match=f"test seeds, 3000000 to 3999999, got seed {seed}"):
        seeds.checked_test_seeds([seeds.TEST, seed])


def test_a_tape_counts_once():
    assert seeds.checked_test_seeds(seeds.test_seeds(3)) == [3_000_000, 3_000_001, 3_000_002]
    with pytest.raises(InvalidInputError, match="given twice"):
        seeds.checked_test_seeds([seeds.TEST, seeds.TEST])
