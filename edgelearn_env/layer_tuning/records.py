"""What an episode of layer tuning is made of, beside what `stages.records` says of all episodes."""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.stages import records as stages
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.records import DeviceRound


class State(NamedTuple):
    """Where each of B episodes stands before a round; `stages.records.State`, the depth and all nets' pre-training.

    `bound_terms` are those of the chosen net; before the switch of the one that would end best now.

    Attributes:
        depth: l of the chosen net, 0 before the switch, (B,) integers.
        pretrain_terms: `bound_terms.pretrain_term` of every net, (B, D).
    """

    round_index: Array
    finetuning: Array
    ended: Array
    elapsed_s: Array
    spent_j: Array
    battery_j: Array
    bound_terms: BoundTerms
    depth: Array
    pretrain_terms: Array


class Allocation(NamedTuple):
    """What is decided for one round; `stages.records.Allocation`, and what of which net is trained.

    Attributes:
        switch, server_freq_hz, server_batch, freq_hz, power_w, batch: as there.
        depth: l of the net to go on with, one of `networks.depths`; ignored once fine-tuning, (B,) integers.
        blocks: t_k, how many last blocks each device trains, 0 for one that is to sit the round out; more than the net
            has, or than fit into a device's memory with its batch, are as many as do, (B, K) integers.
    """

    switch: Array
    server_freq_hz: Array
    server_batch: Array
    freq_hz: Array
    power_w: Array
    batch: Array
    depth: Array
    blocks: Array

    @property
    def staged(self) -> stages.Allocation:
        """The part that every system has."""
        return stages.Allocation(*(getattr(self, name) for name in stages.Allocation._fields))


class LayerRound(NamedTuple):
    """What devices trained in a fine-tuning round; 0 for those that were silent, (B, K).

    Attributes:
        blocks: how many last blocks, integers.
        memory_byte: the most that it held in memory, bytes.
        lowered: whether fewer blocks than it was asked for, since more would not fit, booleans; also of one that was
            silent for that.
    """

    blocks: Array
    memory_byte: Array
    lowered: Array


class Outcome(NamedTuple):
    """What a round did; `stages.records.Outcome` and what was trained.

    `objective` is J, the bound on the task loss, and `reward` log J before minus log J after the round.
    """

    counted: Array
    end_reason: Array
    reward: Array
    objective: Array
    duration_s: Array
    energy_j: Array
    server_j: Array
    devices: DeviceRound
    layers: LayerRound
