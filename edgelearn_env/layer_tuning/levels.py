"""What training t of l blocks takes of each device and what it counts, for all levels of all depths at once."""

from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.layer_tuning.networks import Memory, Networks
from edgelearn_env.physics.transformer import layer_costs
from edgelearn_env.scenarios.parts import Devices
from edgelearn_env.stages.scenario import Learning


class Levels(NamedTuple):
    """Tables by depth and level, (D, L), and by device too, (D, L, K); column t - 1 is level t. Beyond l as at l.

    Attributes:
        exists: whether the net has so many blocks, (D, L).
        flops_per_cycle: c_k(l, t), of `learning.flops_per_sample`, that device k does in a cycle, (D, L, K).
        upload_bit: Q(l, t), (D, L).
        share: rho_l(t), (D, L).
        gradient_variance: sigma_k^2(l, t), (D, L, K).
        held_byte, sample_byte: what training holds in memory whatever the batch, and for each sample, (D, L).
        most_batch: samples of a batch that fit into a device's memory, at most `devices.batch_max`, (D, L, K).
    """

    exists: np.ndarray
    flops_per_cycle: np.ndarray
    upload_bit: np.ndarray
    share: np.ndarray
    gradient_variance: np.ndarray
    held_byte: np.ndarray
    sample_byte: np.ndarray
    most_batch: np.ndarray

    @classmethod
    def of(cls, networks: Networks, memory: Memory, learning: Learning, devices: Devices) -> Self:
        """The tables of a scenario with these parts."""
        depth = np.asarray(networks.depths)[:, None]
        level = np.arange(1, networks.most_blocks + 1)
        blocks = np.minimum(level, depth)
        nothing, sample = (layer_costs(networks.size, depth, blocks, b, memory.optimizer_words) for b in (0, 1))
        # In proportion to the deepest net, all of whose blocks are trained.
        work, upload = sample.flops / sample.flops[-1, -1], sample.upload_bytes / sample.upload_bytes[-1, -1]
        sample_byte = np.asarray(sample.peak_bytes - nothing.peak_bytes, dtype=float)
        held_byte = np.asarray(nothing.peak_bytes, dtype=float)
        room = np.floor((memory.limit_byte - held_byte[..., None]) / sample_byte[..., None])
        return cls(
            exists=level <= depth,
            flops_per_cycle=devices.flops_per_cycle / work[..., None],
            upload_bit=learning.upload_bit * upload,
            share=np.asarray(networks.share),
            gradient_variance=learning.device_gradient_variance * np.asarray(networks.noise_factor)[..., None],
            held_byte=held_byte,
            sample_byte=sample_byte,
            most_batch=np.clip(room, 0.0, devices.batch_max),
        )
