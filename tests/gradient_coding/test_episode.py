"""Who was waited for in coded rounds, against a reading of them device by device."""

import numpy as np
from hypothesis import given
from random_codings import random_coded_policy, random_coded_tape, random_coding
from random_scenarios import seeds

from edgelearn_env.gradient_coding.episode import (
    CANNOT_PAY,
    LATE,
    NOT_ASKED,
    NOT_NEEDED,
    ROLES,
    WAITED_FOR,
    CodedEpisode,
)
from edgelearn_env.trajectory import rollout


def random_episode(seed: int) -> CodedEpisode:
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    return CodedEpisode.of(rollout(scenario, random_coded_tape(rng, scenario), random_coded_policy(rng, scenario)))


def role_of(episode: CodedEpisode, t: int, device: int) -> int:
    """That of one device in a fine-tuning round, by what stands in the records."""
    outcomes, decided, m = episode.outcomes, episode.allocations, episode.scenario.devices_per_edge
    s_e, s_w = decided.edge_stragglers[t], decided.device_stragglers[t]
    participates, edge = outcomes.devices.participates[t], device // m
    asked = decided.asked[t, device] if s_e + s_w else decided.batch[t, device] >= 1
    if not participates[device]:
        return CANNOT_PAY if asked else NOT_ASKED
    if outcomes.coded.lateness[t, device] > 0:
        return LATE
    if not s_e + s_w or not outcomes.coded.decoded[t]:
        return WAITED_FOR
    finish_s, in_time = (outcomes.devices.compute_s + outcomes.devices.upload_s)[t], outcomes.coded.lateness[t] == 0
    beside = sorted(finish_s[k] for k in range(edge * m, (edge + 1) * m) if participates[k] and in_time[k])
    # Under an edge node that was waited for that many were in time.
    needed = outcomes.coded.edge_s[t, edge] > 0 and finish_s[device] <= beside[m - s_w - 1]
    return WAITED_FOR if needed else NOT_NEEDED


@given(seeds)
def test_every_device_has_the_role_that_its_times_say(seed):
    episode = random_episode(seed)
    roles = episode.roles
    for t in range(episode.num_pretrain_rounds, episode.num_rounds):
        assert roles[t].tolist() == [role_of(episode, t, device) for device in range(episode.scenario.num_devices)]


@given(seeds)
def test_a_decoded_code_waits_for_just_enough_and_the_last_of_them_ends_the_round(seed):
    episode = random_episode(seed)
    scenario, coding, outcomes = episode.scenario, episode.scenario.coding, episode.outcomes
    for t in np.flatnonzero(episode.coded & outcomes.coded.decoded):
        s_e, s_w = episode.allocations.edge_stragglers[t], episode.allocations.device_stragglers[t]
        waited = episode.waited_for[t].reshape(coding.num_edges, -1).sum(axis=1)
        assert sorted(waited) == [0] * s_e + [scenario.devices_per_edge - s_w] * (coding.num_edges - s_e)
        last = episode.last_waited_for[t]
        assert episode.waited_for[t, last]
        end_s = outcomes.duration_s[t] - scenario.radio.downlink_s
        tau = end_s - episode.device_finish_s[t, last]
        assert tau > -1e-12
        if coding.edge_s:
            assert abs(tau / coding.edge_s - round(tau / coding.edge_s)) < 1e-6


def test_random_episodes_show_every_role_and_rounds_that_are_lost():
    episodes = [random_episode(seed) for seed in range(40)]
    shown = {role for episode in episodes for role in episode.roles[episode.num_pretrain_rounds :].ravel().tolist()}
    assert shown == set(range(len(ROLES)))
    assert any(np.any(episode.coded & ~episode.outcomes.coded.decoded) for episode in episodes)
