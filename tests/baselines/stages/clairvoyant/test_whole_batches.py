"""Of the plans in whole batches that are tried, the best one that can be played."""

import dataclasses

import numpy as np
import pytest

from edgelearn_env.baselines.priced.search import proven
from edgelearn_env.baselines.stages.clairvoyant import whole_batches
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.clairvoyant.proven_optimum import allowed_pairs
from edgelearn_env.baselines.stages.clairvoyant.replayed_plan import Replayed, replayed_plan
from edgelearn_env.baselines.stages.clairvoyant.whole_batches import whole_plan
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED
from edgelearn_env.trajectory import rollout


@pytest.fixture
def replayed(tiny, tiny_tape) -> Replayed:
    system = PricedEpisode(tiny, tiny_tape, UNRESTRICTED)
    return replayed_plan(*proven(system, 1e-2, allowed_pairs(system)).best.plan)


def lowered(replayed: Replayed) -> Plan:
    """The plan with batches rounded down."""
    return plan_from_times(replayed.episode, replayed.times, shrink=replayed.shrink, whole_batches=True)


def with_batches_times(plan: Plan, factor: float) -> Plan:
    """The plan with other batches of devices, whole ones too."""
    allocations = plan.allocations
    return dataclasses.replace(plan, allocations=allocations._replace(batch=np.ceil(factor * allocations.batch)))


def chosen_of(monkeypatch, replayed: Replayed, *plans: Plan) -> tuple[Plan, float]:
    """What is chosen if these are tried beside the plan with batches rounded down."""
    monkeypatch.setattr(whole_batches, "_scaled_plans", lambda *_: list(plans))
    return whole_plan(replayed, "clarabel")


def reached(replayed: Replayed, plan: Plan) -> float:
    return float(rollout(replayed.episode.scenario, replayed.episode.tape, plan).objective[0])


def test_a_plan_that_promises_most_and_cannot_be_played_to_its_end_is_not_chosen(monkeypatch, replayed):
    safe, greedy = lowered(replayed), with_batches_times(lowered(replayed), 1.3)
    promises = [replayed.episode.learning_bound(plan.server_batch, plan.batch) for plan in (greedy, safe)]
    assert promises[0] < promises[1] < reached(replayed, greedy)
    plan, achieved = chosen_of(monkeypatch, replayed, greedy)
    assert achieved == reached(replayed, plan) == reached(replayed, safe)
    assert np.array_equal(plan.batch, safe.batch)


def test_of_those_that_can_be_played_the_best_is_chosen_and_no_other_is_played(monkeypatch, replayed):
    safe, modest, least = (with_batches_times(lowered(replayed), factor) for factor in (1.0, 0.8, 0.5))
    played = []
    monkeypatch.setattr(whole_batches, "rollout", lambda *episode: played.append(episode) or rollout(*episode))
    plan, achieved = chosen_of(monkeypatch, replayed, least, modest)
    assert achieved == reached(replayed, safe) < reached(replayed, modest) < reached(replayed, least)
    assert np.array_equal(plan.batch, safe.batch)
    assert len(played) == 1
