"""What a plan decides before it is put into clocks and powers: batch sizes and times of every round."""

from typing import NamedTuple

import numpy as np


class RoundTimes(NamedTuple):
    """Batch sizes and times of M + N rounds, in physical units.

    Attributes:
        server_batch, server_s: b and t of the pre-training rounds, (M,).
        batch, compute_s, upload_s: b, t and u of the fine-tuning rounds, (N, K).
        duration_s: D without the downlink, (N,).
    """

    server_batch: np.ndarray
    server_s: np.ndarray
    batch: np.ndarray
    compute_s: np.ndarray
    upload_s: np.ndarray
    duration_s: np.ndarray

    @classmethod
    def none(cls, num_devices: int) -> "RoundTimes":
        """No rounds at all."""
        no_round, no_device = np.zeros(0), np.zeros((0, num_devices))
        return cls(no_round, no_round, no_device, no_device, no_device, no_round)
