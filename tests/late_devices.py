"""Rounds with devices and edges that would be late for minutes: what every engine has to make of them."""

import numpy as np

from edgelearn_env.gradient_coding import CodeLayout, HierarchicalCode, product_code
from edgelearn_env.gradient_coding.execution.coded_round import (
    EdgeTask,
    PlayedRound,
    coded_round,
    computed,
    edge_tasks,
)
from edgelearn_env.gradient_coding.execution.delays import Delays
from edgelearn_env.gradient_coding.execution.sites import Hub
from edgelearn_env.gradient_coding.execution.softmax_regression import SoftmaxRegression

GROUPS = (3, 3, 3)
MINUTES_S = 120.0
PROBLEM = SoftmaxRegression(num_features=6, num_classes=3, samples_a_part=20)


def code(edge_stragglers: int, device_stragglers: int) -> HierarchicalCode:
    return product_code(
        CodeLayout(group_sizes=GROUPS, edge_stragglers=edge_stragglers, device_stragglers=device_stragglers)
    )


def delays(late_devices: tuple[int, ...] = (), late_edges: tuple[int, ...] = (), usual_s: float = 0.02) -> Delays:
    """Minutes for those that are late, little for the rest."""
    start_s, edge_s = np.full(9, usual_s), np.full(3, usual_s)
    start_s[list(late_devices)], edge_s[list(late_edges)] = MINUTES_S, MINUTES_S
    return Delays(start_s=start_s, part_s=np.zeros(9), edge_s=edge_s)


def played(master: Hub, code: HierarchicalCode, delays: Delays) -> PlayedRound:
    return coded_round(master, code, PROBLEM, PROBLEM.weights(), delays)


def require_exact(played: PlayedRound) -> None:
    full = PROBLEM.full_gradient(PROBLEM.weights(), 9)
    assert np.linalg.norm(played.found.gradient - full) < 1e-10 * np.linalg.norm(full)
    assert played.found.squared_error < 1e-20


def check_the_late_are_left_out(master: Hub) -> None:
    """The edge whose link is late, and a late device of each of the others."""
    made = delays(late_devices=(1, 6), late_edges=(1,))
    found = played(master, code(1, 1), made)
    require_exact(found)
    np.testing.assert_array_equal(np.flatnonzero(found.answered), [0, 2, 7, 8])
    np.testing.assert_array_equal(found.answered, made.predicted(code(1, 1)).answered)
    assert set(found.clocks) == {0, 2, 7, 8}
    assert all(finished - begun >= 0.02 for begun, finished in found.clocks.values())


def check_an_edge_that_lacks_devices_is_left_out(master: Hub) -> None:
    found = played(master, code(1, 0), delays(late_devices=(3, 4)))
    require_exact(found)
    np.testing.assert_array_equal(np.flatnonzero(found.answered), [0, 1, 2, 6, 7, 8])


def check_what_was_late_is_there_for_the_next_round(master: Hub) -> None:
    late = (0, 4, 8)
    first = played(master, code(1, 1), delays(late_devices=late, late_edges=(2,)))
    assert not first.answered[[0, 4, 6, 7, 8]].any()
    second = played(master, code(0, 0), delays())
    require_exact(second)
    assert second.answered.all()
    begun_s = min(begun for begun, _ in first.clocks.values())
    assert all(second.clocks[device][1] < begun_s + MINUTES_S / 2 for device in late)


def all_late() -> list[EdgeTask]:
    return list(edge_tasks(code(1, 1), PROBLEM, PROBLEM.weights(), delays(late_devices=tuple(range(9)))))


def check_devices_that_are_stopped_give_no_answer(master: Hub) -> None:
    def stops_at_once(task: EdgeTask, edge: Hub) -> int:
        group = edge.start(computed, task.devices)
        group.stop()
        return len(group.first(len(task.devices)))

    answers = master.start(stops_at_once, all_late()).first(3)
    assert [answer.answer for answer in answers] == [0, 0, 0]


def check_edges_that_are_stopped_give_no_answer(master: Hub) -> None:
    def waits(task: EdgeTask, edge: Hub) -> int:
        group = edge.start(computed, task.devices)
        try:
            return len(group.first(1))
        finally:
            group.stop()

    group = master.start(waits, all_late())
    group.stop()
    assert group.first(3) == []


CHECKS = (
    check_devices_that_are_stopped_give_no_answer,
    check_edges_that_are_stopped_give_no_answer,
    check_the_late_are_left_out,
    check_an_edge_that_lacks_devices_is_left_out,
    check_what_was_late_is_there_for_the_next_round,
)
