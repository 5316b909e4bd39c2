"""The random law of tapes: fading, shadowing and harvest, round by round, for a batch of episodes at once.

    key --before_first_round--> LawState --next_rounds--> LawState, Conditions of R rounds

Arrays are device-major, (K, B): what one episode shares with its devices then broadcasts along memory.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.counter_random import uniforms


class Conditions(NamedTuple):
    """What a round brings.

    Attributes:
        channel_gain: g, power gain of each uplink, (B, K).
        harvest_w: h, power harvested by each device, W, (B, K).
        hidden: what shows only when the round has been played: a record of the system's own, nothing where there is no
            such thing.
    """

    channel_gain: Array
    harvest_w: Array
    hidden: Any = ()

    @property
    def seen(self) -> "Conditions":
        """What an online policy may know before the round."""
        return self._replace(hidden=())


class TapeLaw(NamedTuple):
    """What a scenario says of channels and harvest, in the arrays of one library.

    Attributes:
        mean_gain: g_1 d_k^-alpha, (K, 1).
        on_w: what a device harvests while it is on, W, (K, 1).
        fading_correlation: r, of the complex fading of consecutive rounds.
        shadowing_std_db: of the log-normal shadowing, drawn once an episode, dB.
        flip_probability: that a device goes on or off from one round to the next.
    """

    mean_gain: Array
    on_w: Array
    fading_correlation: float
    shadowing_std_db: float
    flip_probability: float

    @classmethod
    def of(cls, scenario: Scenario, xp: Any = np, **placement: Any) -> Self:
        """The law of a scenario's tapes; `placement` may hold the arrays' `device=`."""
        mean_gain, on_w = (
            xp.asarray(np.array(values)[:, None], dtype=xp.float64, **placement)
            for values in (scenario.mean_channel_gain, 2.0 * scenario.energy.harvest_mean_w)
        )
        return cls(
            mean_gain=mean_gain,
            on_w=on_w,
            fading_correlation=scenario.radio.fading_correlation,
            shadowing_std_db=scenario.radio.shadowing_std_db,
            flip_probability=scenario.energy.harvest_flip_probability,
        )


class LawState(NamedTuple):
    """Where the law stands in each of B episodes before a round.

    Attributes:
        key: the episode's random numbers, (B,) integers.
        round_index: t, (B,) integers.
        fading: real and imaginary part of c in the round before, (2, K, B).
        on: 1.0 where a device harvested in the round before, else 0.0, (K, B).
        gain: mean gain times shadowing, (K, B).
        hidden: where the law of what is hidden stands, a record of the system's own.
    """

    key: Array
    round_index: Array
    fading: Array
    on: Array
    gain: Array
    hidden: Any = ()


def before_first_round(law: TapeLaw, key: Array) -> LawState:
    """Where the law stands before the first round: fading and harvest in their stationary law, shadowing drawn.

    Args:
        law: of the scenario.
        key: the stream of each episode, `counter_random.stream_keys`, (B,).
    """
    xp, num_devices = namespace_of(key), law.mean_gain.shape[0]
    zero = xp.zeros_like(key)
    # The last of these rows is the shadowing's.
    num_rows = ROWS_BEFORE if law.shadowing_std_db > 0 else ROWS_BEFORE - 1
    draws = uniforms(key, zero, num_rows, 3 * num_devices)
    normal = complex_normal(draws[:, :num_devices, :], draws[:, num_devices : 2 * num_devices, :])
    # The real part of a standard complex normal has variance 1/2.
    shadowing_db = law.shadowing_std_db * math.sqrt(2) * normal[num_rows - 1, 0, ...]
    return LawState(
        key=key,
        round_index=zero,
        fading=normal[0, ...],
        on=xp.astype(draws[0, 2 * num_devices :, :] < 0.5, xp.float64),
        gain=law.mean_gain * xp.exp(shadowing_db * (math.log(10) / 10)),
    )


def next_rounds(law: TapeLaw, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
    """Draw the next R rounds.

    Channel: g[t, k] = gain_k |c[t, k]|^2 with c[t] = r c[t-1] + sqrt(1 - r^2) z[t], z standard complex normal.
    Harvest: a symmetric two-state Markov chain, on or off.

    Args:
        law: of the scenario.
        law_state: before these rounds.
        num_rounds: R, at least 1. A round's numbers do not depend on how many are drawn together.

    Returns:
        Where the law stands after them, and what they bring, arrays (R, K, B).
    """
    xp, num_devices = namespace_of(law_state.key), law.mean_gain.shape[0]
    draws = uniforms(law_state.key, law_state.round_index + ROWS_BEFORE, num_rounds, 3 * num_devices)
    innovation = complex_normal(draws[:, :num_devices, :], draws[:, num_devices : 2 * num_devices, :])
    innovation = math.sqrt(1 - law.fading_correlation**2) * innovation
    flips = xp.astype(draws[:, 2 * num_devices :, :] < law.flip_probability, xp.float64)
    fading, on = [law_state.fading], [law_state.on]
    for index in range(num_rounds):
        fading.append(law.fading_correlation * fading[-1] + innovation[index, ...])
        on.append(xp.abs(on[-1] - flips[index, ...]))
    after = law_state._replace(round_index=law_state.round_index + num_rounds, fading=fading[-1], on=on[-1])
    path = xp.stack(fading[1:])
    gain = law_state.gain * (path[:, 0, ...] ** 2 + path[:, 1, ...] ** 2)
    return after, Conditions(channel_gain=gain, harvest_w=law.on_w * xp.stack(on[1:]))


def complex_normal(radius: Array, angle: Array) -> Array:
    """Standard complex normal numbers out of uniform ones, E|z|^2 = 1: z = sqrt(-ln radius) e^(i 2 pi (angle - 1/2)).

    Args:
        radius: uniform in (0, 1), (R, K, B).
        angle: likewise, independent of `radius`.

    Returns:
        Real and imaginary parts, (R, 2, K, B).
    """
    xp = namespace_of(radius)
    # One tangent of the half angle instead of a sine and a cosine, which cost ten times as much.
    tangent = xp.tan(math.pi * (angle - 0.5))
    scale = xp.sqrt(-xp.log(radius)) / (1.0 + tangent**2)
    return xp.stack([scale * (1.0 - tangent**2), scale * (2.0 * tangent)], axis=1)


# Rows of random numbers that come before those of the first round: fading and harvest, then shadowing.
ROWS_BEFORE = 2
