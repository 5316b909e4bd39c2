"""The optimum of one tape, as records: what was found and why it can be trusted."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from edgelearn_env.baselines.optimum import Certificate
from edgelearn_env.baselines.stages.model.plan import Plan


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StagedOptimum:
    """The clairvoyant optimum of one tape; an `edgelearn_env.baselines.Optimum`.

    Attributes:
        plan: with real-valued batches; replayed, it reaches `value`.
        whole_plan: with whole batches; replayed, it reaches `achieved`.
        value: least learning bound with real-valued batches, to within the certificate's gap.
        achieved: learning bound of `whole_plan`.
        certificate: proof of `bound`.
    """

    plan_kind: ClassVar[type[Plan]] = Plan

    plan: Plan
    whole_plan: Plan
    value: float
    achieved: float
    certificate: Certificate

    @property
    def bound(self) -> float:
        """No policy reaches a smaller learning bound on this tape."""
        return self.certificate.bound

    @property
    def gap(self) -> float:
        """value / bound - 1."""
        return self.certificate.gap

    @property
    def num_pretrain_rounds(self) -> int:
        """M."""
        return self.plan.num_pretrain_rounds

    @property
    def num_finetune_rounds(self) -> int:
        """N."""
        return self.plan.num_finetune_rounds

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name, for a file; `from_arrays` is the inverse."""
        about = {"certificate": dataclasses.asdict(self.certificate), "value": self.value, "achieved": self.achieved}
        plans = {f"{name}.{part}": array for name in _PLANS for part, array in getattr(self, name).to_arrays().items()}
        return {"about": np.array(json.dumps(about)), **plans}

    def to_dict(self) -> dict[str, Any]:
        """What a reader wants of it, in plain types: values, certificate, and the decisions of both plans."""
        parts = ("gap", "residual", "num_pairs", "num_solved", "label")
        return {
            "value": self.value,
            "bound": self.bound,
            "achieved": self.achieved,
            "certificate": {name: getattr(self.certificate, name) for name in parts},
            "plan": self.plan.to_dict(),
            "whole_plan": self.whole_plan.to_dict(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """What `to_arrays` wrote."""
        about = json.loads(str(arrays["about"]))
        plan, whole_plan = (cls.plan_kind.from_arrays(_part_of(arrays, name)) for name in _PLANS)
        return cls(
            plan=plan,
            whole_plan=whole_plan,
            value=about["value"],
            achieved=about["achieved"],
            certificate=Certificate(**about["certificate"]),
        )


_PLANS = ("plan", "whole_plan")


def _part_of(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Those whose names begin with that one and a dot, by the rest of their names."""
    return {key.removeprefix(f"{name}."): arrays[key] for key in arrays if key.startswith(f"{name}.")}
