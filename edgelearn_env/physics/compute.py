"""Time and energy of computing gradients at a clock frequency."""

from edgelearn_env.arrays.namespaces import Array


def compute_time_s(cycles_per_sample: Array, batch: Array, freq_hz: Array) -> Array:
    """Time of a mini-batch gradient: t = a b / f.

    Args:
        cycles_per_sample: a, clock cycles a sample needs, (K,) or a number.
        batch: b, samples, (B, K) or (B,).
        freq_hz: f, clock frequency, Hz, shaped like `batch`.
    """
    return cycles_per_sample * batch / freq_hz


def compute_energy_j(capacitance_j_s2: Array, cycles_per_sample: Array, batch: Array, freq_hz: Array) -> Array:
    """Energy of a mini-batch gradient in CMOS logic: kappa a b f^2.

    Args:
        capacitance_j_s2: kappa, effective switched capacitance, J s^2, (K,) or a number.
        cycles_per_sample: a, clock cycles a sample needs, (K,) or a number.
        batch: b, samples, (B, K) or (B,).
        freq_hz: f, clock frequency, Hz, shaped like `batch`.
    """
    return capacitance_j_s2 * cycles_per_sample * batch * freq_hz**2
