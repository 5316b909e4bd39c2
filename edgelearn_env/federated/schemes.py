"""Schemes: what of the net each device of a round holds and trains, how updates are put together, what that costs."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.networks import MATRICES, Net, Weights
from edgelearn_env.federated.parts import Index, Part, part_of_units
from edgelearn_env.physics.transformer import BYTES, StepCosts, adapter_costs, layer_costs, window_costs
from edgelearn_env.schedule import DeviceTurn


@runtime_checkable
class Scheme(Protocol):
    """What a scheme has to say."""

    @property
    def aggregation(self) -> str:
        """Key of `AGGREGATIONS`."""

    def prepared(self, weights: Weights, net: Net) -> Weights:
        """The pre-trained weights, and what the scheme adds to them."""

    def part(self, weights: Weights, net: Net, turn: DeviceTurn, round_index: int) -> Part:
        """What the device of a turn holds and trains in that round."""

    def costs(self, net: Net, turn: DeviceTurn) -> StepCosts:
        """What that costs it, by formula."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """The blocks that the schedule names and the head; the whole net, embedding included, where it names none.

    Layer finetuning names the last t; head-only none of them, (l, l); CoCoFL a window drawn anew in each round.
    """

    aggregation: str = "masked"

    def prepared(self, weights: Weights, net: Net) -> Weights:
        """As they are."""
        return weights

    def part(self, weights: Weights, net: Net, turn: DeviceTurn, round_index: int) -> Part:
        """Named blocks and the head."""
        first, end = turn.blocks or (0, net.depth)
        if not 0 <= first <= end <= net.depth:
            raise InvalidInputError(f"blocks must lie within 0 to {net.depth}, got {turn.blocks}")
        units = {"head", *(f"block{index}" for index in range(first, end))}
        return part_of_units(weights, frozenset(units if turn.blocks else units | {"embedding"}))

    def costs(self, net: Net, turn: DeviceTurn) -> StepCosts:
        """Of a window of blocks; the embedding's gradient comes on top where it is trained."""
        first, end = turn.blocks or (0, net.depth)
        found = window_costs(net.size, net.depth, first, end - first, turn.batch)
        embedding = 0 if turn.blocks else BYTES * net.size.embedding_weights
        return found._replace(upload_bytes=found.upload_bytes + embedding, peak_bytes=found.peak_bytes + embedding)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """Pairs of low rank beside all six matrices of each block, and the head: LoRA; HetLoRA if ranks differ.

    W x + b becomes W x + b + B A x. A begins normal with variance 1 / inputs, B at 0.

    Attributes:
        ranks: r of each device, the last for all further ones.
        seed: of A.
        aggregation: "padded" for HetLoRA.
    """

    ranks: tuple[int, ...]
    seed: int = 0
    aggregation: str = "masked"

    def prepared(self, weights: Weights, net: Net) -> Weights:
        """With pairs of the largest rank."""
        rng, rank, pairs = np.random.default_rng((self.seed, 3)), max(self.ranks), {}
        for name in (f"block{index}.{matrix}" for index in range(net.depth) for matrix in MATRICES):
            outputs, inputs = weights[f"{name}.weight"].shape
            pairs[f"{name}.lora_a"] = (rng.standard_normal((rank, inputs)) / np.sqrt(inputs)).astype(np.float32)
            pairs[f"{name}.lora_b"] = np.zeros((outputs, rank), np.float32)
        return {**weights, **pairs}

    def part(self, weights: Weights, net: Net, turn: DeviceTurn, round_index: int) -> Part:
        """The pairs, cut to the device's rank, and the head."""
        rank, narrowed = self._rank(turn), dict[str, Index]()
        pairs = [name for name in weights if name.endswith((".lora_a", ".lora_b"))]
        for name in pairs if rank < max(self.ranks) else ():
            places = [np.arange(size) for size in weights[name].shape]
            places[name.endswith("b")] = np.arange(rank)
            narrowed[name] = tuple(places)
        head = [name for name in weights if name.startswith("head.")]
        return Part(tuple(sorted((*pairs, *head))), narrowed)

    def costs(self, net: Net, turn: DeviceTurn) -> StepCosts:
        """Of pairs of the device's rank."""
        return adapter_costs(net.size, net.depth, self._rank(turn), turn.batch)

    def _rank(self, turn: DeviceTurn) -> int:
        return self.ranks[min(turn.device, len(self.ranks) - 1)]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RollingWidth:
    """FedRolex: each device trains a share of every block's heads and hidden units, which moves on in each round.

    The stream keeps its width, so that embedding and head are whole: the head is trained, the embedding is not.

    Attributes:
        shares: of each device, above 0 to 1, the last for all further ones.
        aggregation: key of `AGGREGATIONS`.
    """

    shares: tuple[float, ...]
    aggregation: str = "masked"

    def prepared(self, weights: Weights, net: Net) -> Weights:
        """As they are."""
        return weights

    def part(self, weights: Weights, net: Net, turn: DeviceTurn, round_index: int) -> Part:
        """A window of heads, and one of hidden units, that begin one head further in each round."""
        head_width, num_heads = net.width // net.heads, self._heads(net, turn)
        heads = (round_index + np.arange(num_heads)) % net.heads
        inner = np.sort((heads[:, None] * head_width + np.arange(head_width)).ravel())
        hidden = np.sort((heads[:, None] * 4 * head_width + np.arange(4 * head_width)).ravel())
        stream, narrowed = np.arange(net.width), dict[str, Index]()
        for block in (f"block{index}" for index in range(net.depth)):
            for rows, names in ((inner, ("q", "k", "v")), (hidden, ("up",))):
                for name in names:
                    narrowed |= {f"{block}.{name}.weight": (rows, stream), f"{block}.{name}.bias": (rows,)}
            narrowed |= {f"{block}.o.weight": (stream, inner), f"{block}.down.weight": (stream, hidden)}
        trained = part_of_units(weights, frozenset({"head", *(f"block{index}" for index in range(net.depth))})).trained
        return Part(trained, narrowed if num_heads < net.heads else {})

    def costs(self, net: Net, turn: DeviceTurn) -> StepCosts:
        """As for all blocks, with 12 of 16 B S d that a block keeps, its attention and its matrices in proportion."""
        size, share, batch = net.size, self._heads(net, turn) / net.heads, turn.batch
        whole = layer_costs(size, net.depth, net.depth, batch)
        gone_weights = net.depth * (1 - share) * (12 * size.width**2 + 7 * size.width)
        gone_kept = (
            net.depth * (1 - share) * (size.block_activations(batch) - 4 * size.stream(batch) - 4 * batch * size.tokens)
        )
        return StepCosts(
            flops=whole.flops - 3 * net.depth * (1 - share) * size.block_flops(batch),
            upload_bytes=whole.upload_bytes - BYTES * gone_weights,
            peak_bytes=whole.peak_bytes - BYTES * (2 * gone_weights + gone_kept),
        )

    def _heads(self, net: Net, turn: DeviceTurn) -> int:
        return max(1, round(self.shares[min(turn.device, len(self.shares) - 1)] * net.heads))
