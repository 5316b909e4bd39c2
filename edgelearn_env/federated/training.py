"""The engine of record: a schedule played in real training, round by round, in this process.

    Schedule + Weights --played_rounds--> PlayedRound, PlayedRound, ...

What happens in a round is a function of its entry in the schedule, of the weights before it and of the seed; nothing
else is remembered, so a run that goes on from a checkpoint ends with the same weights to the last bit.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.aggregation import AGGREGATIONS
from edgelearn_env.federated.frozen_prefix import FrozenPrefix, FrozenStreams
from edgelearn_env.federated.local_update import Order, Update, local_update
from edgelearn_env.federated.networks import Net, Weights, unit_of
from edgelearn_env.federated.parts import first_trained_block, part_of_units
from edgelearn_env.federated.samples import FederatedSamples, Samples
from edgelearn_env.federated.schemes import Blocks, Scheme
from edgelearn_env.schedule import Schedule, ScheduledRound
from edgelearn_env.stages.scenario import Learning

# Does the work of a round's devices, in any order, wherever they are; the in-process loop by default.
Workforce = Callable[[Weights, Sequence[Order]], Sequence[Update]]

SERVER = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A run of real training.

    Attributes:
        net: shape of the net.
        samples: of the server and of each device.
        schedule: who does what in which round.
        scheme: what of the net devices train, and how it is put together.
        server_step_size, device_step_size: eta_0 and eta.
        local_steps: of a device in a round.
        seed: of all draws of samples.
    """

    net: Net
    samples: FederatedSamples
    schedule: Schedule
    scheme: Scheme = dataclasses.field(default_factory=Blocks)
    server_step_size: float = 0.1
    device_step_size: float = 0.1
    local_steps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        strangers = {turn.device for each in self.schedule.rounds for turn in each.turns}
        if any(not 0 <= device < self.samples.num_devices for device in strangers):
            sentence = f"schedule must name devices from 0 to {self.samples.num_devices - 1}"
            raise InvalidInputError(f"{sentence}, got {sorted(strangers)}")
        for name in ("server_step_size", "device_step_size", "local_steps"):
            if not getattr(self, name) > 0:
                raise InvalidInputError(f"{name} must be above 0, got {getattr(self, name)}")

    @classmethod
    def under_the_bound(
        cls, learning: Learning, net: Net, samples: FederatedSamples, schedule: Schedule, seed: int = 0
    ) -> Self:
        """The run that a learning bound speaks of: one damped step of the whole net in a round, of its step sizes."""
        return cls(
            net=net,
            samples=samples,
            schedule=schedule,
            scheme=Blocks(aggregation="damped"),
            server_step_size=learning.server_step_size,
            device_step_size=learning.device_step_size,
            seed=seed,
        )

    def samples_of(self, site: int) -> Samples:
        """What a site trains on: 0 the server, 1 + k device k."""
        return self.samples.general if site == SERVER else self.samples.devices[site - 1].train


class RoundLog(NamedTuple):
    """One line of the log.

    Attributes:
        round_index: from 0.
        stage: "pretrain" or "finetune".
        participants: devices that took part.
        loss: mean over the sites that computed, before their steps, weighted; NaN if nobody did.
        elapsed_s: the simulator's clock after the round, s.
        spent_j: its meters, J.
        uploaded_bytes: sent by devices in the round, counted.
        peak_bytes: memory of the device that needs most, by formula.
        cpu_s: of the work of all sites, measured, s.
    """

    round_index: int
    stage: str
    participants: int
    loss: float
    elapsed_s: float
    spent_j: float
    uploaded_bytes: int
    peak_bytes: int
    cpu_s: float


class PlayedRound(NamedTuple):
    """A round's line in the log, and the weights after it."""

    log: RoundLog
    weights: Weights


def played_rounds(
    training: Training,
    weights: Weights,
    first: int = 0,
    workforce: Workforce | None = None,
    prefix: FrozenPrefix | None = None,
) -> Iterator[PlayedRound]:
    """Play the rounds of a schedule from number `first` on.

    Args:
        training: what to do.
        weights: before that round.
        first: the round to begin with.
        workforce: does the devices' work; this process, one after another, if None.
        prefix: of blocks that no round trains, as `frozen_prefix_of` finds them: a shortcut.
    """
    if prefix is not None and training.schedule.num_pretrain_rounds > first:
        raise InvalidInputError("prefix must be left out while the server trains the whole net")
    for index, each in enumerate(training.schedule.rounds[first:], start=first):
        orders = orders_of(training, weights, index)
        if workforce is None or each.server_batch:
            updates: Sequence[Update] = [
                local_update(weights, order, training.samples_of(order.site), prefix) for order in orders
            ]
        else:
            updates = workforce(weights, orders)
        weights = aggregated(training, weights, each, updates)
        yield PlayedRound(_log(training, index, each, updates), weights)


def orders_of(training: Training, weights: Weights, index: int) -> list[Order]:
    """What each site is told in a round."""
    each, seed = training.schedule.rounds[index], training.seed
    if each.server_batch:
        everything = part_of_units(weights, frozenset(map(unit_of, weights)))
        order = Order(training.net, everything, index, SERVER, each.server_batch, 1, training.server_step_size, seed, 1)
        return [order]
    steps, step_size = training.local_steps, training.device_step_size
    return [
        Order(
            training.net,
            training.scheme.part(weights, training.net, turn, index),
            index,
            1 + turn.device,
            turn.batch,
            steps,
            step_size,
            seed,
            turn.weight,
        )
        for turn in each.turns
    ]


def aggregated(
    training: Training, weights: Weights, each: ScheduledRound, updates: Sequence[Update]
) -> dict[str, np.ndarray]:
    """The weights after a round; a round of nobody leaves them as they are."""
    rule = "damped" if each.server_batch else training.scheme.aggregation
    return AGGREGATIONS[rule](weights, updates) if updates else dict(weights)


def frozen_prefix_of(training: Training, weights: Weights, streams: FrozenStreams) -> FrozenPrefix:
    """The first blocks that no device trains in any round; a deeper one's shortcut would miss what another trains."""
    depths = [
        first_trained_block(training.scheme.part(weights, training.net, turn, index), training.net.depth)
        for index, each in enumerate(training.schedule.rounds)
        for turn in each.turns
    ]
    return FrozenPrefix(streams, min(depths, default=training.net.depth))


def _log(training: Training, index: int, each: ScheduledRound, updates: Sequence[Update]) -> RoundLog:
    weight = np.array([update.weight for update in updates])
    losses = np.array([update.loss for update in updates])
    peaks = [training.scheme.costs(training.net, turn).peak_bytes for turn in each.turns]
    return RoundLog(
        round_index=index,
        stage="pretrain" if each.server_batch else "finetune",
        participants=len(each.turns),
        loss=float(np.sum(weight * losses) / np.sum(weight)) if updates else float("nan"),
        elapsed_s=each.elapsed_s,
        spent_j=each.spent_j,
        uploaded_bytes=0 if each.server_batch else sum(update.num_bytes for update in updates),
        peak_bytes=round(float(max(peaks, default=0))),
        cpu_s=sum(update.cpu_s for update in updates),
    )
