"""How much a study does: what fits into a quarter of an hour of two free cores, and into an hour of them."""

import dataclasses
from collections.abc import Mapping

from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.samples import FederatedSamples
from edgelearn_env.federated.text import addresses

SMALL, MIDDLE, DEEP = 2, 4, 6


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StudyPlan:
    """The size of a study.

    Attributes:
        seeds: of pre-training, cohorts and draws; step sizes are tuned with the first.
        pretrain_steps, pretrain_batch: of Adam, at the server.
        rounds: of fine-tuning.
        cohort: devices that take part in a round.
        local_steps, batch: of each in a round.
        tested: samples of each device's validation and test sets, at most.
        gaps: general data of the sweep, beside the default; with the first seed alone.
        deep: whether the deepest net is compared too.
        step_sizes: to choose from.
    """

    seeds: tuple[int, ...]
    pretrain_steps: int
    rounds: int
    cohort: int
    pretrain_batch: int = 16
    local_steps: int = 2
    batch: int = 32
    tested: int = 4
    gaps: tuple[str, ...] = ("far", "near", "glyphs")
    deep: bool = True
    step_sizes: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


PLANS: Mapping[int, StudyPlan] = {
    1: StudyPlan(seeds=(0,), pretrain_steps=20, rounds=1, cohort=3, tested=1, gaps=(), step_sizes=(0.1,)),
    15: StudyPlan(seeds=(0,), pretrain_steps=2500, rounds=9, cohort=8, gaps=("far",), deep=False),
    60: StudyPlan(seeds=(0, 1, 2), pretrain_steps=2500, rounds=12, cohort=8),
}


def samples_named(name: str) -> FederatedSamples:
    """Addresses with a gap of that name, or glyphs and digits."""
    if name == "glyphs":
        from edgelearn_env.federated.glyphs import glyphs_and_digits

        return glyphs_and_digits()
    return addresses(name)


def net_for(data: str, depth: int) -> Net:
    """The net of that depth for the data of that name."""
    if data == "glyphs":
        from edgelearn_env.federated.glyphs import PATCH, TOKENS

        return Net(depth=depth, tokens=TOKENS, outputs=10, patch=PATCH)
    return Net(depth=depth)
