"""Policies compared on the same tapes, each against the bound that no policy can pass."""

import dataclasses
import functools
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.statistics import (
    Interval,
    geometric_mean_ratio,
    interquartile_mean_ratio,
    probability_of_improvement,
)
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.model import Column, model_of
from edgelearn_env.physics.budgets import END_REASONS, RUNNING
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.seeds import checked_test_seeds
from edgelearn_env.trajectory import Trajectory

# What a policy knows: the whole tape, or what is observed; the last one was trained.
Kind = Literal["clairvoyant", "online", "learned"]

FORMAT, VERSION = "edgelearn-env benchmark", 1


@runtime_checkable
class ProvenOptimum(Protocol):
    """What a report reads of an optimum; `edgelearn_env.baselines.Optimum` has it."""

    @property
    def value(self) -> float:
        """What the clairvoyant plan reaches with real-valued batches."""

    @property
    def bound(self) -> float:
        """No policy reaches less on this tape."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What one policy did on the tapes of a report; arrays (R, E): R training runs, one for what does not learn.

    Attributes:
        name: of the policy.
        kind: what it knows.
        objective: Phi of each episode.
        columns: other numbers of each, by name; the system says which.
        end_reasons: how each ended, in words.
        runs: how each run was trained, in plain types; empty for what does not learn.
    """

    name: str
    kind: Kind
    objective: np.ndarray
    columns: Mapping[str, np.ndarray]
    end_reasons: np.ndarray
    runs: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(
        cls,
        name: str,
        kind: Kind,
        runs: Sequence[Sequence[Trajectory]],
        trained: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """The summary of what each run played, in one batch of episodes or in several."""

        def of_each_run(part: Callable[[Trajectory], np.ndarray]) -> np.ndarray:
            return np.stack([np.concatenate([part(batch) for batch in batches]) for batches in runs])

        return cls(
            name=name,
            kind=kind,
            objective=of_each_run(lambda batch: batch.objective),
            columns={name: of_each_run(functools.partial(_column, name)) for name in runs[0][0].summary},
            end_reasons=of_each_run(_end_reasons),
            runs=list(trained),
        )

    @property
    def label(self) -> str:
        """The name, with the number of runs if there are several."""
        return self.name if len(self.objective) == 1 else f"{self.name} ({len(self.objective)} runs)"

    @property
    def end_shares(self) -> dict[str, float]:
        """How often each end came, most frequent first."""
        names, counts = np.unique(self.end_reasons, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {str(names[index]): float(counts[index] / self.end_reasons.size) for index in order}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in ("edgelearn-env", "numpy", "gymnasium", "cvxpy", "clarabel", "torch", "stable-baselines3"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A comparison on common tapes, none of which anything was trained or tuned on.

    Attributes:
        scenario: the system that was played.
        seeds: of the tapes, test seeds all.
        bound: proven lower bound of each tape, (E,).
        relaxed: clairvoyant objective with real-valued batches, (E,).
        played: every policy, the clairvoyant plan with whole batches first.
        versions: of Python and the packages that played.

    Raises:
        InvalidInputError: a seed is no test seed, or an array does not fit the tapes and runs.
    """

    scenario: Scenario
    seeds: Sequence[int]
    bound: np.ndarray
    relaxed: np.ndarray
    played: Sequence[Played]
    versions: Mapping[str, str] = dataclasses.field(default_factory=versions)

    def __post_init__(self) -> None:
        num_episodes = len(checked_test_seeds(self.seeds))
        _require_positive("bound", self.bound, (num_episodes,))
        _require_positive("relaxed", self.relaxed, (num_episodes,))
        for played in self.played:
            shape = (max(len(played.runs), 1), num_episodes)
            _require_positive(f"objective of {played.name}", played.objective, shape)
            if any(array.shape != shape for array in (played.end_reasons, *played.columns.values())):
                raise InvalidInputError(f"all arrays of {played.name} must have shape {shape}")

    @classmethod
    def of(
        cls, scenario: Scenario, seeds: Sequence[int], optima: Sequence[ProvenOptimum], played: Sequence[Played]
    ) -> Self:
        """Compare what was played on the tapes of `seeds`, given the optimum of each tape."""
        return cls(
            scenario=scenario,
            seeds=list(seeds),
            bound=np.array([optimum.bound for optimum in optima]),
            relaxed=np.array([optimum.value for optimum in optima]),
            played=list(played),
        )

    @property
    def best_online(self) -> Played | None:
        """The online policy that does not learn with the least geometric mean of Phi, if one was played."""
        online = [played for played in self.played if played.kind == "online"]
        return min(online, key=lambda played: float(np.mean(np.log(played.objective))), default=None)

    def named(self, name: str) -> Played:
        """The policy of that name.

        Raises:
            InvalidInputError: it was not played.
        """
        names = [played.name for played in self.played]
        if name not in names:
            raise InvalidInputError(f"{name!r} was not played: choose one of {', '.join(names)}")
        return self.played[names.index(name)]

    def gap(self, played: Played) -> Interval:
        """Geometric mean over runs and episodes of Phi / bound, less 1.

        Its logarithm is the mean regret in return against the bound.
        """
        return _less_one(geometric_mean_ratio(played.objective, self.bound[None]))

    def interquartile_gap(self, played: Played) -> Interval:
        """The same without the best and the worst quarter of runs and episodes."""
        return _less_one(interquartile_mean_ratio(played.objective, self.bound[None]))

    def ratio(self, played: Played, other: Played) -> Interval:
        """Geometric mean of Phi / other's Phi, paired by tape, less 1."""
        return _less_one(geometric_mean_ratio(played.objective, other.objective))

    def improvement(self, played: Played, other: Played) -> Interval:
        """How often Phi is below other's Phi on the same tape; a tie counts half."""
        return probability_of_improvement(played.objective, other.objective)

    def to_dict(self) -> dict[str, Any]:
        """Everything a reader needs to check or repeat the comparison, in plain types; `from_dict` is the inverse."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "scenario": self.scenario.to_dict(),
            "seeds": [int(seed) for seed in self.seeds],
            "versions": dict(self.versions),
            "bound": self.bound.tolist(),
            "clairvoyant_relaxed": self.relaxed.tolist(),
            "policies": {
                played.name: {
                    "kind": played.kind,
                    "runs": [dict(run) for run in played.runs],
                    "objective": played.objective.tolist(),
                    **{name: values.astype(int).tolist() for name, values in played.columns.items()},
                    "end_reasons": played.end_reasons.tolist(),
                    "gap": self.gap(played)._asdict(),
                    "interquartile_gap": self.interquartile_gap(played)._asdict(),
                }
                for played in self.played
            },
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """The report that `to_dict` wrote; its intervals are computed anew."""
        if table.get("format") != FORMAT or table.get("version") != VERSION:
            raise InvalidInputError(f"it does not say {FORMAT!r} of version {VERSION}")
        scenario = Scenario.from_dict(table["scenario"])
        played = [
            Played(
                name=name,
                kind=row["kind"],
                runs=row["runs"],
                objective=np.array(row["objective"], dtype=float),
                columns={column.name: np.array(row[column.name], dtype=int) for column in columns_of(scenario)},
                end_reasons=np.array(row["end_reasons"], dtype=str),
            )
            for name, row in table["policies"].items()
        ]
        return cls(
            scenario=scenario,
            seeds=table["seeds"],
            bound=np.array(table["bound"], dtype=float),
            relaxed=np.array(table["clairvoyant_relaxed"], dtype=float),
            played=played,
            versions=table["versions"],
        )

    def save(self, path: str | Path) -> None:
        """Write `to_dict` as JSON, atomically."""
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            InvalidInputError: there is no such file, or it is damaged or not a benchmark.
        """
        path = existing_file(path, "benchmark")
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8-sig")))
        except Exception as error:  # whatever a table with other keys or types leads to
            raise InvalidInputError(f"benchmark file {str(path)!r} is damaged or not a benchmark: {error}") from error


def objective_of(scenario: Scenario) -> Column:
    """What the objective of that scenario is called in reports."""
    return model_of(scenario, "numpy").minimised


def columns_of(scenario: Scenario) -> tuple[Column, ...]:
    """What reports on that scenario list of each episode beside its objective."""
    return model_of(scenario, "numpy").columns


def _column(name: str, trajectory: Trajectory) -> np.ndarray:
    return trajectory.summary[name]


def _end_reasons(trajectory: Trajectory) -> np.ndarray:
    """How each episode of a batch ended, in words, (B,)."""
    reasons = trajectory.outcomes.end_reason
    first = np.argmax(reasons != RUNNING, axis=1)[:, None]
    in_words: np.ndarray = np.array(END_REASONS)[np.take_along_axis(reasons, first, axis=1)[:, 0]]
    return in_words


def _require_positive(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.shape != shape or not np.all(np.isfinite(values) & (values > 0)):
        raise InvalidInputError(f"{name} must hold finite positive numbers of shape {shape}")


def _less_one(ratio: Interval) -> Interval:
    return Interval(*(value - 1 for value in ratio))
