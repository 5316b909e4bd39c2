"""Which seeds are for what, so that nothing is judged on tapes that it was trained or tuned on.

A run that trains takes its seed below `TUNING`; its later episodes are drawn from the same seed with an episode number
and meet no other seed's tapes.
"""

TUNING = 1_000_000
VALIDATION = 2_000_000
TEST = 3_000_000


def tuning_seeds(count: int) -> range:
    """Seeds of the tapes on which parameters of policies that do not learn are chosen."""
    return range(TUNING, TUNING + count)


def validation_seeds(count: int) -> range:
    """Seeds of the tapes on which a run in training is judged, to keep its best state."""
    return range(VALIDATION, VALIDATION + count)


def test_seeds(count: int) -> range:
    """Seeds of the tapes on which results are reported."""
    return range(TEST, TEST + count)
