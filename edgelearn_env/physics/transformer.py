"""What it costs a device to train the last blocks of a transformer: weights, FLOPs, bytes to upload, peak memory.

Numbers are 32-bit. A net has l blocks of width d; a device trains the last t of them and the head: the final norm and
the linear layer behind it. Depths and numbers of blocks may be arrays, which broadcast.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from edgelearn_env.arrays.namespaces import Array

BYTES = 4

# Optimizer words kept beside each trained weight.
OPTIMIZER_WORDS = {"sgd": 0, "momentum": 1, "adam": 2}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TransformerSize:
    """What fixes the costs of a block, of the embedding and of the head.

    Attributes:
        width: d.
        heads: h.
        tokens: S, of a sample.
        outputs: classes, or letters.
        embedding_weights: P_e.
        predicts_every_token: whether the head is asked at every token, as in a language model, or once for a sample.
    """

    width: int
    heads: int
    tokens: int
    outputs: int
    embedding_weights: int
    predicts_every_token: bool

    @property
    def block_weights(self) -> int:
        """P_b = 12 d^2 + 13 d: four square matrices, two of a factor of 4, their biases, two norms."""
        return 12 * self.width**2 + 13 * self.width

    @property
    def head_weights(self) -> int:
        """P_h: the final norm, the linear layer and its bias."""
        return 2 * self.width + (self.width + 1) * self.outputs

    def block_flops(self, batch: Array) -> Array:
        """F = 24 B S d^2 + 4 B S^2 d: a block, forward."""
        return 24 * batch * self.tokens * self.width**2 + 4 * batch * self.tokens**2 * self.width

    def head_flops(self, batch: Array) -> Array:
        """2 B S d V: the head, forward; S is 1 if it is asked once for a sample."""
        return 2 * batch * self._asked_tokens * self.width * self.outputs

    def block_activations(self, batch: Array) -> Array:
        """A_b = 16 B S d + B h S^2 + 4 B S: numbers that a trained block keeps for its backward pass."""
        return batch * self.tokens * (16 * self.width + self.heads * self.tokens + 4)

    def head_activations(self, batch: Array) -> Array:
        """Numbers that the head keeps: its normalised input, two of each norm, the predicted log-probabilities."""
        return batch * self._asked_tokens * (self.width + 2 + self.outputs)

    def stream(self, batch: Array) -> Array:
        """B S d: numbers that go from block to block."""
        return batch * self.tokens * self.width

    @property
    def _asked_tokens(self) -> int:
        return self.tokens if self.predicts_every_token else 1


class StepCosts(NamedTuple):
    """What one local step, or one upload after it, costs a device.

    Attributes:
        flops: of a step, forward and backward.
        upload_bytes: of what it trained.
        peak_bytes: of memory, at the worst moment of a step.
    """

    flops: Array
    upload_bytes: Array
    peak_bytes: Array


def layer_costs(
    size: TransformerSize, depth: Array, blocks: Array, batch: Array, optimizer_words: int = 0
) -> StepCosts:
    """Costs of training the last t of l blocks and the head.

    O = l F + 2 t F + 3 F_h, U = 4 (t P_b + P_h),
    M = 4 [l P_b + P_e + P_h + (1 + q)(t P_b + P_h) + max(t A_b + B S d + A_h, 10 B S d)].

    The gradient of a trained weight is kept beside it, and q words of the optimizer. Trained blocks keep A_b each, the
    head its input B S d and A_h; frozen ones work within about 10 B S d.

    Args:
        size: of the net.
        depth: l.
        blocks: t, at most l.
        batch: B.
        optimizer_words: q, see `OPTIMIZER_WORDS`.
    """
    trained = blocks * size.block_weights + size.head_weights
    held = depth * size.block_weights + size.embedding_weights + size.head_weights
    kept = blocks * size.block_activations(batch) + size.stream(batch) + size.head_activations(batch)
    working = np.maximum(kept, 10 * size.stream(batch))
    return StepCosts(
        flops=(depth + 2 * blocks) * size.block_flops(batch) + 3 * size.head_flops(batch),
        upload_bytes=BYTES * trained,
        peak_bytes=BYTES * (held + (1 + optimizer_words) * trained + working),
    )


def window_costs(
    size: TransformerSize, depth: Array, first: Array, blocks: Array, batch: Array, optimizer_words: int = 0
) -> StepCosts:
    """Costs of training t blocks from number `first` on, and the head; later blocks are frozen but passed through.

    Passing a gradient through a frozen block costs F + 4 B S^2 d, and keeps what the chain rule needs of it: its input,
    q, k, v, attention, the second norm's input and the four-fold hidden layer, 9 B S d + B h S^2 + 4 B S.

    Args:
        size: of the net.
        depth: l.
        first: number of the first trained block, from 0.
        blocks: t.
        batch: B.
        optimizer_words: q.
    """
    last = layer_costs(size, depth, blocks, batch, optimizer_words)
    passed = depth - first - blocks
    through = size.block_activations(batch) - 7 * size.stream(batch)
    return StepCosts(
        flops=last.flops + passed * (size.block_flops(batch) + 4 * size.stream(batch) * size.tokens),
        upload_bytes=last.upload_bytes,
        peak_bytes=last.peak_bytes + BYTES * passed * through,
    )


def adapter_weights(size: TransformerSize, rank: Array) -> Array:
    """P_lora = 18 d r: weights of the pairs of rank r beside the six matrices of a block."""
    return 18 * size.width * rank


def adapter_costs(
    size: TransformerSize, depth: Array, rank: Array, batch: Array, optimizer_words: int = 0
) -> StepCosts:
    """Costs of training pairs of rank r beside all six matrices of all l blocks (LoRA), and the head.

    O = l (2 F + 4 B S^2 d) + 6 B S l P_lora - 6 B S d (d + r) + 3 F_h, U = 4 (l P_lora + P_h); memory as for all
    blocks, with 6 B S r numbers more kept in each, and gradients of the pairs alone. Three matrices of the first
    block, q, k and v, need no gradient of their input, and its first norm keeps nothing.

    Args:
        size: of the net.
        depth: l.
        rank: r.
        batch: B.
        optimizer_words: q.
    """
    pairs = depth * adapter_weights(size, rank)
    trained = pairs + size.head_weights
    held = depth * size.block_weights + size.embedding_weights + size.head_weights + pairs
    inner = 6 * batch * size.tokens * rank
    samples = batch * size.tokens
    kept = depth * (size.block_activations(batch) + inner) + size.head_activations(batch) - 2 * samples
    attention = 4 * samples * size.tokens * size.width
    blocks_flops = depth * (2 * size.block_flops(batch) + attention) + 6 * samples * pairs
    return StepCosts(
        flops=blocks_flops - 6 * samples * size.width * (size.width + rank) + 3 * size.head_flops(batch),
        upload_bytes=BYTES * trained,
        peak_bytes=BYTES * (held + (1 + optimizer_words) * trained + kept),
    )
