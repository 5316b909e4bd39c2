"""Which seeds are for what, so that nothing is judged on tapes that it was trained or tuned on.

A run that trains takes its seeds below `TUNING`; its later episodes are drawn from the same seeds with an episode
number and meet no other seed's tapes.
"""

from collections.abc import Sequence

from edgelearn_env.errors import InvalidInputError

TUNING = 1_000_000
VALIDATION = 2_000_000
TEST = 3_000_000
END = 4_000_000


def training_seeds(count: int, first: int = 0) -> range:
    """Seeds of tapes to learn from, from `first` on.

    Raises:
        InvalidInputError: the range has fewer; so for all of these functions.
    """
    return _within("training", range(TUNING), first, count)


def tuning_seeds(count: int) -> range:
    """Seeds of the tapes on which parameters of policies that do not learn are chosen."""
    return _within("tuning", range(TUNING, VALIDATION), TUNING, count)


def validation_seeds(count: int) -> range:
    """Seeds of the tapes on which a run in training is judged, to keep its best state."""
    return _within("validation", range(VALIDATION, TEST), VALIDATION, count)


def test_seeds(count: int) -> range:
    """Seeds of the tapes on which results are reported."""
    return _within("test", range(TEST, END), TEST, count)


def checked_test_seeds(seeds: Sequence[int]) -> list[int]:
    """`seeds`, once they are known to be test seeds, each there once.

    Agents train, tune and validate below `TEST`, so results on such seeds are results on tapes that nobody has met.

    Raises:
        InvalidInputError: they are not.
    """
    foreign = [seed for seed in seeds if not TEST <= seed < END]
    if foreign:
        raise InvalidInputError(f"results are reported on test seeds, {TEST} to {END - 1}, got seed {foreign[0]}")
    if len(set(seeds)) < len(seeds):
        raise InvalidInputError("a test seed is given twice: its tape would count twice")
    return [int(seed) for seed in seeds]


def _within(purpose: str, seeds: range, first: int, count: int) -> range:
    if count < 0 or first not in seeds or first + count > seeds.stop:
        raise InvalidInputError(
            f"{purpose} seeds are {seeds.start} to {seeds.stop - 1}, got a request for {count} from {first} on"
        )
    return range(first, first + count)
