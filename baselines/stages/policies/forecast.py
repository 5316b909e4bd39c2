"""What the coming rounds are expected to be like, given this one: Gauss-Markov fading, Markov harvest."""

import numpy as np
from scipy.special import exp1

from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Conditions, Tape

_LEAST = 1e-100


def expected_tape(scenario: StagedScenario, conditions: Conditions, rounds_ahead: np.ndarray) -> Tape:
    """Typical channel gains and expected harvests some rounds from now, one row for each entry of `rounds_ahead`.

    Gain: exp E[log g] given the present fade c_0. Upload times and, at a given time, the logarithm of upload energies
    follow log g, while 1/g has no finite mean. With kappa = r^(2 tau) |c_0|^2 / (1 - r^(2 tau)),
    E[log |c_tau|^2] = log(1 - r^(2 tau)) + log kappa + E_1(kappa).
    Harvest: mean + (1 - 2 q)^tau (h_0 - mean).

    Args:
        scenario: the system; shadowing is unknown to a forecast and taken as 1.
        conditions: of this round, (K,) each.
        rounds_ahead: tau, 0 for this round, (T,).

    Returns:
        A tape of shape (T, K).
    """
    tau = rounds_ahead[:, None].astype(float)
    mean_gain, mean_w = scenario.mean_channel_gain, scenario.energy.harvest_mean_w
    fade = np.maximum(conditions.channel_gain / mean_gain, _LEAST)
    # At tau = 0 nothing is unknown, which the formula has as a limit only.
    known = np.minimum(scenario.radio.fading_correlation ** (2 * tau), 1 - 1e-9)
    kappa = np.maximum(known * fade / (1 - known), _LEAST)
    log_fade = np.where(tau > 0, np.log1p(-known) + np.log(kappa) + exp1(kappa), np.log(fade))
    remembered = (1 - 2 * scenario.energy.harvest_flip_probability) ** tau
    return Tape(mean_gain * np.exp(log_fade), mean_w + remembered * (conditions.harvest_w - mean_w))
