"""What the study compares: a scheme on a net of some depth, and what each group of devices trains in it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.schemes import Adapters, Blocks, RollingWidth, Scheme
from edgelearn_env.federated.study.plan import DEEP, MIDDLE, SMALL
from edgelearn_env.schedule import DeviceTurn

GROUPS = ("weak", "medium", "strong")
# Memory of the groups: at these a net of four blocks is trained whole by the strong, and three and two of its blocks
# by the others; a net of two fits all of them.
GROUP_BYTES = (24.5e6, 35.0e6, 46.0e6)

Windows = tuple[tuple[int, int], ...]
Value = TypeVar("Value", int, float)


class Variant(NamedTuple):
    """A scheme on a net.

    Attributes:
        name: of the scheme and how much of it.
        family: schemes of one kind have step sizes that are alike.
        depth: l.
        scheme: what devices hold and train, and how that is put together.
        windows: for each group, blocks that its devices train, one of which is drawn in each round; a group without any
            takes no part. One entry stands for all groups.
    """

    name: str
    family: str
    depth: int
    scheme: Scheme
    windows: tuple[Windows, ...]

    def windows_of(self, group: int) -> Windows:
        """Of a group's devices."""
        return self.windows[min(group, len(self.windows) - 1)]


def last_blocks(depth: int, blocks: int) -> Variant:
    """Layer finetuning: the last t of l."""
    name = {0: f"head of {depth}", depth: f"whole net of {depth}"}.get(blocks, f"last {blocks} of {depth}")
    return Variant(name, "blocks", depth, Blocks(), (((depth - blocks, depth),),))


def pairs(depth: int, rank: int) -> Variant:
    """LoRA of one rank."""
    return Variant(f"LoRA {rank} of {depth}", "pairs", depth, Adapters(ranks=(rank,)), (((0, depth),),))


def random_window(depth: int, blocks: int) -> Variant:
    """CoCoFL, without its quantisation: t blocks in a row, drawn anew for each device and round."""
    windows = tuple((first, first + blocks) for first in range(depth - blocks + 1))
    return Variant(f"window {blocks} of {depth}", "blocks", depth, Blocks(), (windows,))


def rolling(depth: int, share: float) -> Variant:
    """FedRolex with one share."""
    return Variant(f"rolling {share:g} of {depth}", "rolling", depth, RollingWidth(shares=(share,)), (((0, depth),),))


def equal_variants() -> list[Variant]:
    """Last blocks and adapters: run once for all limits, since equal devices do the same whatever the limit is."""
    blocks = [(SMALL, (2, 1, 0)), (MIDDLE, (4, 3, 2, 1, 0)), (DEEP, (6, 4, 3, 2, 1, 0))]
    return [
        *(last_blocks(depth, t) for depth, counts in blocks for t in counts),
        *(pairs(depth, rank) for depth, rank in ((SMALL, 8), (SMALL, 24), (MIDDLE, 8), (MIDDLE, 2))),
    ]


def partial_variants() -> list[Variant]:
    """Other parts of a net: windows of blocks, shares of widths; likewise."""
    return [
        *(random_window(MIDDLE, t) for t in (2, 1)),
        *(rolling(MIDDLE, share) for share in (0.5, 0.25)),
    ]


def unequal_variants(net_of: Mapping[int, Net], batch: int, num_devices: int) -> list[Variant]:
    """Schemes for devices of three groups, each with as much as its group's memory takes.

    Args:
        net_of: nets by their depth.
        batch: samples of a step.
        num_devices: K.
    """

    def fits(depth: int, scheme: Scheme, window: tuple[int, int], limit: float) -> bool:
        return bool(scheme.costs(net_of[depth], DeviceTurn(0, batch, 1.0, window)).peak_bytes <= limit)

    def most(values: Sequence[Value], depth: int, scheme_of: Callable[[Value], Scheme]) -> tuple[Value, ...]:
        """The last of some values, in ascending order, that fits each group."""
        window = (0, depth)
        return tuple(max(v for v in values if fits(depth, scheme_of(v), window, limit)) for limit in GROUP_BYTES)

    def each(by_group: Sequence[Value]) -> tuple[Value, ...]:
        """The same for every device."""
        return tuple(by_group[group_of(k, num_devices)] for k in range(num_devices))

    inside = list(itertools.combinations(range(MIDDLE + 1), 2))
    fitting = tuple(tuple(window for window in inside if fits(MIDDLE, Blocks(), window, b)) for b in GROUP_BYTES)
    last = tuple((min(window for window in windows if window[1] == MIDDLE),) for windows in fitting)
    ranks = most((1, 2, 4, 8, 16, 24, 32), SMALL, lambda rank: Adapters(ranks=(rank,)))
    shares = most((0.25, 0.5, 0.75, 1.0), MIDDLE, lambda share: RollingWidth(shares=(share,)))
    small, whole = (((0, SMALL),),), (((0, MIDDLE),),)
    heterogeneous = Adapters(ranks=each(ranks), aggregation="padded")
    rolled = RollingWidth(shares=each(shares))
    return [
        Variant("layer finetuning", "blocks", MIDDLE, Blocks(), last),
        Variant("layer finetuning, damped", "blocks", MIDDLE, Blocks(aggregation="damped"), last),
        Variant("weakest device's net", "blocks", SMALL, Blocks(), small),
        Variant("devices dropped", "blocks", MIDDLE, Blocks(), ((), (), *whole)),
        Variant(f"LoRA {ranks[0]}", "pairs", SMALL, Adapters(ranks=ranks[:1]), small),
        Variant(f"HetLoRA {'/'.join(map(str, ranks))}", "pairs", SMALL, heterogeneous, small),
        Variant("random window (CoCoFL)", "blocks", MIDDLE, Blocks(), fitting),
        Variant(f"FedRolex {'/'.join(map(str, shares))}", "rolling", MIDDLE, rolled, whole),
        Variant("head only", "blocks", MIDDLE, Blocks(), (((MIDDLE, MIDDLE),),)),
        Variant("no limits", "blocks", MIDDLE, Blocks(), whole),
    ]


def group_of(device: int, num_devices: int) -> int:
    """Thirds in the order of the devices: the earliest addresses are weak, so that groups differ in data."""
    return device * len(GROUPS) // num_devices


def window_of(variant: Variant, device: int, num_devices: int, rng: np.random.Generator) -> tuple[int, int] | None:
    """The blocks that a device trains in a round; None if it takes no part."""
    windows: Sequence[tuple[int, int]] = variant.windows_of(group_of(device, num_devices))
    return windows[int(rng.integers(len(windows)))] if windows else None
