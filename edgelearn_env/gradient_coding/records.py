"""What an episode with coded rounds is made of, beside what `stages.records` says of all episodes."""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.stages import records as stages
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.records import DeviceRound


class Seen(NamedTuple):
    """What the last fine-tuning round has shown; as before any straggler until there was one.

    Attributes:
        edge_stragglers, device_stragglers: (s_e, s_w) of its code, (B,) integers.
        slowdown, tries: x and N of each device, (B, K).
        lateness: share of what each device was asked for that was not done when the round ended, (B, K).
    """

    edge_stragglers: Array
    device_stragglers: Array
    slowdown: Array
    tries: Array
    lateness: Array


class State(NamedTuple):
    """Where each of B episodes stands before a round; `stages.records.State` and what was seen of stragglers."""

    round_index: Array
    finetuning: Array
    ended: Array
    elapsed_s: Array
    spent_j: Array
    battery_j: Array
    bound_terms: BoundTerms
    seen: Seen


class Allocation(NamedTuple):
    """What is decided for one round; `stages.records.Allocation`, and who is to be waited for.

    Attributes:
        switch, server_freq_hz, server_batch, freq_hz, power_w: as there.
        batch: samples of each device's own part of the data; without a code 0 for a device that is to sit the round
            out, with one at least 1, (B, K).
        edge_stragglers: s_e, how many edge nodes may be late, (B,) integers.
        device_stragglers: s_w, how many devices under each other edge node may be, (B,) integers.
        asked: who is to work at all in a round with a code, (B, K) booleans.
    """

    switch: Array
    server_freq_hz: Array
    server_batch: Array
    freq_hz: Array
    power_w: Array
    batch: Array
    edge_stragglers: Array
    device_stragglers: Array
    asked: Array

    @property
    def staged(self) -> stages.Allocation:
        """The part that every system has."""
        return stages.Allocation(*(getattr(self, name) for name in stages.Allocation._fields))


class CodedRound(NamedTuple):
    """What a fine-tuning round with or without a code has shown.

    Attributes:
        decoded: whether it gave a gradient: that of all parts with a code, of those who took part without one, (B,).
        load: samples that each device was to compute, its own part and what it holds of others', (B, K).
        lateness: share of its work that each device had not done when the round ended, (B, K).
        edge_s: when each edge node had sent its result, s, 0 for one that was not waited for, (B, n).
    """

    decoded: Array
    load: Array
    lateness: Array
    edge_s: Array


class Outcome(NamedTuple):
    """What a round did; `stages.records.Outcome` and what became of its code."""

    counted: Array
    end_reason: Array
    reward: Array
    objective: Array
    duration_s: Array
    energy_j: Array
    server_j: Array
    devices: DeviceRound
    coded: CodedRound
