"""Rows of a report, with objectives of one's choice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgelearn_env.evaluation.report import Kind, Played

TRAINED = [{"recipe": "ppo", "seed": 3}, {"recipe": "ppo", "seed": 4}]


def played(name: str, objective: Any, kind: Kind = "online", runs: Sequence[Mapping[str, Any]] = ()) -> Played:
    """A policy that had these objectives, (E,) or (R, E), and ran out of battery in the last episode."""
    objective = np.atleast_2d(np.asarray(objective, dtype=float))
    ends = np.full(objective.shape, "delay budget")
    ends[:, -1] = "battery"
    return Played(
        name=name,
        kind=kind,
        objective=objective,
        columns={name: np.ones(objective.shape, dtype=int) for name in ("num_pretrain_rounds", "num_finetune_rounds")},
        end_reasons=ends,
        runs=runs,
    )
