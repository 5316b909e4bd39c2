"""Policies compared on the same tapes, each against the bound that no policy can pass."""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from edgelearn_env.dynamics import END_REASONS, RUNNING
from edgelearn_env.files import written_atomically
from edgelearn_env.scenario import Scenario
from edgelearn_env.trajectory import Trajectory

NUM_RESAMPLES = 10_000


@runtime_checkable
class ProvenOptimum(Protocol):
    """What a report reads of an optimum; `edgelearn_env.baselines.clairvoyant.Optimum` has it."""

    value: float
    achieved: float
    num_pretrain_rounds: int
    num_finetune_rounds: int

    @property
    def bound(self) -> float:
        """No policy reaches less on this tape."""


class Interval(NamedTuple):
    """A mean and the ends of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What one policy did on the tapes of a report; arrays (episodes,).

    Attributes:
        name: of the policy.
        objective: Phi of each episode.
        num_pretrain_rounds, num_finetune_rounds: M and N of each.
        end_reasons: how each ended, in words.
    """

    name: str
    objective: np.ndarray
    num_pretrain_rounds: np.ndarray
    num_finetune_rounds: np.ndarray
    end_reasons: Sequence[str]

    @classmethod
    def of(cls, name: str, trajectory: Trajectory) -> "Played":
        """The summary of a batch of episodes."""
        reasons = trajectory.outcomes.end_reason
        first = np.argmax(reasons != RUNNING, axis=1)[:, None]
        return cls(
            name=name,
            objective=trajectory.objective,
            num_pretrain_rounds=trajectory.num_pretrain_rounds,
            num_finetune_rounds=trajectory.num_finetune_rounds,
            end_reasons=[END_REASONS[index] for index in np.take_along_axis(reasons, first, axis=1)[:, 0]],
        )

    @property
    def end_shares(self) -> dict[str, float]:
        """How often each end came, most frequent first."""
        names, counts = np.unique(self.end_reasons, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {str(names[index]): float(counts[index] / len(self.end_reasons)) for index in order}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A comparison on common tapes.

    Attributes:
        scenario: the system that was played.
        seeds: of the tapes.
        bound: proven lower bound of each tape, (episodes,).
        relaxed: clairvoyant objective with real-valued batches, (episodes,).
        played: every policy, the clairvoyant plan with whole batches first.
    """

    scenario: Scenario
    seeds: Sequence[int]
    bound: np.ndarray
    relaxed: np.ndarray
    played: Sequence[Played]

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        seeds: Sequence[int],
        optima: Sequence[ProvenOptimum],
        clairvoyant: Trajectory,
        policies: Mapping[str, Trajectory],
    ) -> "Report":
        """Compare trajectories on the tapes of `seeds`, given the optimum of each tape and its replayed plan."""
        return cls(
            scenario=scenario,
            seeds=list(seeds),
            bound=np.array([optimum.bound for optimum in optima]),
            relaxed=np.array([optimum.value for optimum in optima]),
            played=[
                Played.of("clairvoyant", clairvoyant),
                *(Played.of(name, trajectory) for name, trajectory in policies.items()),
            ],
        )

    def gap(self, played: Played) -> Interval:
        """Geometric mean over episodes of Phi / bound, less 1, with a bootstrap interval over episodes.

        Its logarithm is the mean regret in return against the bound.
        """
        return Interval(*np.expm1(_mean_interval(np.log(played.objective / self.bound))))

    def ratio(self, played: Played, other: Played) -> Interval:
        """Geometric mean over episodes of Phi / other's Phi, paired by tape, less 1."""
        return Interval(*np.expm1(_mean_interval(np.log(played.objective / other.objective))))

    def to_dict(self) -> dict[str, Any]:
        """Everything a reader needs to check or repeat the comparison, in plain types."""
        return {
            "scenario": self.scenario.to_dict(),
            "seeds": [int(seed) for seed in self.seeds],
            "versions": versions(),
            "bound": self.bound.tolist(),
            "clairvoyant_relaxed": self.relaxed.tolist(),
            "policies": {
                played.name: {
                    "objective": played.objective.tolist(),
                    "num_pretrain_rounds": played.num_pretrain_rounds.tolist(),
                    "num_finetune_rounds": played.num_finetune_rounds.tolist(),
                    "end_reasons": list(played.end_reasons),
                    "gap": self.gap(played)._asdict(),
                }
                for played in self.played
            },
        }

    def save(self, path: str | Path) -> None:
        """Write `to_dict` as JSON, atomically."""
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in ("edgelearn-env", "numpy", "gymnasium", "cvxpy", "clarabel", "torch", "stable-baselines3"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _mean_interval(values: np.ndarray) -> np.ndarray:
    """Mean of `values` and the 2.5 % and 97.5 % points of its bootstrap distribution, (3,)."""
    rng = np.random.default_rng(0)
    means = np.mean(rng.choice(values, (NUM_RESAMPLES, len(values))), axis=1)
    return np.array([np.mean(values), *np.quantile(means, [0.025, 0.975])])
