"""Small pre-norm transformers as pure functions of their weights, for text and for images.

A net's weights are arrays by name: `embedding.*`, `block0.*`, ..., `head.*`. Whatever a device holds of them runs
through the same code: adapters beside a matrix are used if they are there, and how many heads and hidden units a block
has is read off its arrays.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgelearn_env.physics.transformer import TransformerSize

Weights = Mapping[str, np.ndarray]
Tensors = Mapping[str, Tensor]

# The matrices of a block, each (out, in); all take adapters.
MATRICES = ("q", "k", "v", "o", "up", "down")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Net:
    """The shape of a net.

    Attributes:
        depth: l, blocks.
        width: d.
        heads: h.
        tokens: S: characters seen at once, or patches of an image.
        outputs: characters, or classes.
        patch: numbers in a patch of an image; 0 for text, whose characters are looked up.
    """

    depth: int
    width: int = 64
    heads: int = 4
    tokens: int = 64
    outputs: int = 96
    patch: int = 0

    @property
    def is_causal(self) -> bool:
        """Whether each token sees earlier ones alone and predicts the next, as in text; images get one class."""
        return self.patch == 0

    @property
    def size(self) -> TransformerSize:
        """What its costs depend on."""
        per_token = self.patch + 1 if self.patch else self.outputs
        return TransformerSize(
            width=self.width,
            heads=self.heads,
            tokens=self.tokens,
            outputs=self.outputs,
            embedding_weights=(per_token + self.tokens) * self.width,
            predicts_every_token=self.is_causal,
        )


class Scores(NamedTuple):
    """How well a net predicts samples.

    Attributes:
        loss: mean cross-entropy, nats, of each sample, (B,).
        correct: share of its predictions that hit, (B,).
    """

    loss: Tensor
    correct: Tensor


def initial_weights(net: Net, seed: int) -> dict[str, np.ndarray]:
    """Fresh weights: matrices normal with variance 1 / inputs, those that write to the stream
    smaller by sqrt(2 l), that of the head by 10."""
    rng, width = np.random.default_rng((seed, net.depth)), net.width

    def matrix(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return (scale / math.sqrt(columns) * rng.standard_normal((rows, columns))).astype(np.float32)

    weights = {"embedding.position": (0.02 * rng.standard_normal((net.tokens, width))).astype(np.float32)}
    if net.patch:
        weights |= _linear("embedding.patch", matrix(width, net.patch))
    else:
        weights["embedding.token"] = (0.02 * rng.standard_normal((net.outputs, width))).astype(np.float32)
    to_stream = 1 / math.sqrt(2 * net.depth)
    for block in (f"block{index}" for index in range(net.depth)):
        weights |= _norm(f"{block}.norm1", width) | _norm(f"{block}.norm2", width)
        for name in ("q", "k", "v"):
            weights |= _linear(f"{block}.{name}", matrix(width, width))
        weights |= _linear(f"{block}.o", matrix(width, width, to_stream))
        weights |= _linear(f"{block}.up", matrix(4 * width, width))
        weights |= _linear(f"{block}.down", matrix(width, 4 * width, to_stream))
    return weights | _norm("head.norm", width) | _linear("head.out", matrix(net.outputs, width, 0.1))


def unit_of(name: str) -> str:
    """The part of the net that an array belongs to: `embedding`, `block0`, ..., `head`."""
    return name.partition(".")[0]


def embedded(weights: Tensors, net: Net, inputs: Tensor) -> Tensor:
    """The stream before the first block, (B, S, d), of letters (B, S) or of patches (B, S, patch)."""
    if net.patch:
        return _applied(weights, "embedding.patch", inputs) + weights["embedding.position"]
    return functional.embedding(inputs, weights["embedding.token"]) + weights["embedding.position"]


def after_blocks(weights: Tensors, net: Net, stream: Tensor, first: int, end: int) -> Tensor:
    """The stream after blocks `first` to `end` - 1, (B, S, d)."""
    for index in range(first, end):
        stream = _block(weights, net, f"block{index}", stream)
    return stream


def head_scores(weights: Tensors, net: Net, stream: Tensor, targets: Tensor) -> Scores:
    """What the head makes of the stream after the last block.

    Args:
        weights: of the net.
        net: its shape.
        stream: (B, S, d).
        targets: the next letter at every token, (B, S), or the class of each sample, (B,).
    """
    asked = stream if net.is_causal else stream.mean(dim=1)
    logits = _applied(weights, "head.out", _normed(weights, "head.norm", asked))
    loss = functional.cross_entropy(logits.reshape(-1, net.outputs), targets.reshape(-1), reduction="none")
    hit = (logits.detach().argmax(-1) == targets).to(torch.float32)
    samples = len(targets)
    return Scores(loss.reshape(samples, -1).mean(1), hit.reshape(samples, -1).mean(1))


def _block(weights: Tensors, net: Net, name: str, stream: Tensor) -> Tensor:
    """x + attention(norm(x)), then y + mlp(norm(y))."""
    stream = stream + _attention(weights, net, name, _normed(weights, f"{name}.norm1", stream))
    hidden = _applied(weights, f"{name}.up", _normed(weights, f"{name}.norm2", stream))
    return stream + _applied(weights, f"{name}.down", functional.gelu(hidden))


def _attention(weights: Tensors, net: Net, name: str, normed: Tensor) -> Tensor:
    """Softmax attention of as many heads as the block holds; written out, so that its costs are those of the model."""
    samples, tokens, _ = normed.shape
    head_width = net.width // net.heads

    def by_head(letter: str) -> Tensor:
        found = _applied(weights, f"{name}.{letter}", normed)
        return found.reshape(samples, tokens, -1, head_width).transpose(1, 2)

    scores = (by_head("q") / math.sqrt(head_width)) @ by_head("k").transpose(2, 3)
    if net.is_causal:
        scores = scores + _no_look_ahead(tokens)
    mixed = torch.softmax(scores, dim=-1) @ by_head("v")
    return _applied(weights, f"{name}.o", mixed.transpose(1, 2).reshape(samples, tokens, -1))


def _no_look_ahead(tokens: int) -> Tensor:
    return torch.full((tokens, tokens), -torch.inf).triu(1)


def _applied(weights: Tensors, name: str, inputs: Tensor) -> Tensor:
    """x W^T + b, plus what an adapter beside W adds: x A^T B^T."""
    outputs = functional.linear(inputs, weights[f"{name}.weight"], weights[f"{name}.bias"])
    if f"{name}.lora_a" in weights:
        outputs = outputs + inputs @ weights[f"{name}.lora_a"].T @ weights[f"{name}.lora_b"].T
    return outputs


def _normed(weights: Tensors, name: str, stream: Tensor) -> Tensor:
    return functional.layer_norm(stream, stream.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])


def _linear(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}.weight": matrix, f"{name}.bias": np.zeros(len(matrix), np.float32)}


def _norm(name: str, width: int) -> dict[str, np.ndarray]:
    return {f"{name}.weight": np.ones(width, np.float32), f"{name}.bias": np.zeros(width, np.float32)}
