"""Decibels to SI; the only place where dB turns into something else."""

from typing import TypeVar

import numpy as np

Level = TypeVar("Level", float, np.ndarray)


def db_to_ratio(value_db: Level) -> Level:
    """10^(x/10): a power ratio from decibels."""
    ratio: Level = 10.0 ** (value_db / 10.0)
    return ratio


def dbm_to_w(value_dbm: Level) -> Level:
    """10^((x-30)/10): watts from decibels over a milliwatt."""
    return db_to_ratio(value_dbm - 30.0)
