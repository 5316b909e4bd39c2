"""What real training is told of an episode: who takes part in each round, with which batch, on which blocks."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.episode import PlayedEpisode
from edgelearn_env.trajectory import Trajectory


class DeviceTurn(NamedTuple):
    """A device's part in a round.

    Attributes:
        device: k.
        batch: samples of each local step.
        weight: omega_k.
        blocks: which it trains, as (first, end); None for the whole net, embedding and head included.
    """

    device: int
    batch: int
    weight: float
    blocks: tuple[int, int] | None = None


class ScheduledRound(NamedTuple):
    """One round.

    Attributes:
        server_batch: samples of the server's step; 0 in a round of the devices.
        turns: of those that take part; of nobody in a round of the server.
        elapsed_s: what the simulator's clock said after it, s.
        spent_j: what its meters said, J.
    """

    server_batch: int
    turns: tuple[DeviceTurn, ...]
    elapsed_s: float
    spent_j: float

    @property
    def participation(self) -> float:
        """Omega: the weights of those that take part."""
        return float(sum(turn.weight for turn in self.turns))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """All rounds of an episode, in order.

    Attributes:
        name: of what decided them.
        rounds: first those of the server, then those of the devices.
        predicted: the learning bound's value at the end; NaN where nobody predicted one.
        depth: blocks of the net that was chosen; None where that is no decision.
    """

    name: str
    rounds: tuple[ScheduledRound, ...]
    predicted: float = float("nan")
    depth: int | None = None

    def __post_init__(self) -> None:
        stages = [each.server_batch > 0 for each in self.rounds]
        if stages != sorted(stages, reverse=True):
            raise InvalidInputError(f"rounds must be the server's first and then the devices', got {stages}")
        for each in self.rounds:
            if any(turn.batch < 1 for turn in each.turns):
                raise InvalidInputError(f"batch must be at least 1 for a device that takes part, got {each.turns}")

    @property
    def num_pretrain_rounds(self) -> int:
        """M."""
        return sum(each.server_batch > 0 for each in self.rounds)

    @property
    def num_finetune_rounds(self) -> int:
        """N."""
        return len(self.rounds) - self.num_pretrain_rounds

    @classmethod
    def of(cls, trajectory: Trajectory, name: str, episode: int = 0) -> Self:
        """The schedule that an episode has played, two-stage or of layer tuning; batches become whole numbers."""
        played = PlayedEpisode.of(trajectory, episode)
        depth = int(played.states.depth[-1]) or None if isinstance(played.scenario, LayerTuningScenario) else None
        weight = np.asarray(played.scenario.learning.device_weight)
        rounds = []
        for index in range(played.num_rounds):
            turns: tuple[DeviceTurn, ...] = ()
            server_batch = max(1, round(float(played.allocations.server_batch[index])))
            if played.states.finetuning[index + 1]:
                silent, server_batch = ~played.outcomes.devices.participates[index], 0
                batch = np.maximum(1, np.round(played.allocations.batch[index])).astype(int)
                turns = tuple(
                    DeviceTurn(k, int(batch[k]), float(weight[k]), _last_blocks(played, index, k, depth))
                    for k in np.flatnonzero(~silent).tolist()
                )
            elapsed_s, spent_j = played.states.elapsed_s[index + 1], played.states.spent_j[index + 1]
            rounds.append(ScheduledRound(server_batch, turns, float(elapsed_s), float(spent_j)))
        return cls(name=name, rounds=tuple(rounds), predicted=float(trajectory.objective[episode]), depth=depth)

    def save(self, path: str | Path) -> None:
        """Write the schedule as JSON, atomically."""
        rounds = [each._asdict() | {"turns": [turn._asdict() for turn in each.turns]} for each in self.rounds]
        table = {"name": self.name, "predicted": self.predicted, "depth": self.depth, "rounds": rounds}
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What `save` wrote.

        Raises:
            InvalidInputError: no such file, or not a schedule.
        """
        path = existing_file(path, "schedule")
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            return cls(**table | {"rounds": tuple(map(_round, table["rounds"]))})
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"schedule file {str(path)!r} is not what Schedule.save writes: {error}") from error


def _last_blocks(played: PlayedEpisode, index: int, device: int, depth: int | None) -> tuple[int, int] | None:
    """What the device trained of a net of that depth; None where nets are no matter."""
    return None if depth is None else (depth - int(played.outcomes.layers.blocks[index, device]), depth)


def _round(table: dict) -> ScheduledRound:
    turns = [turn | {"blocks": turn["blocks"] and tuple(turn["blocks"])} for turn in table["turns"]]
    return ScheduledRound(**table | {"turns": tuple(DeviceTurn(**turn) for turn in turns)})
