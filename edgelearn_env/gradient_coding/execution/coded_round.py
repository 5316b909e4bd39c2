"""One coded gradient round, written once for every engine: devices compute, edge nodes and master take the first of it.

master --start--> edge nodes --start--> devices; the first answers go back up; the rest is told to stop.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgelearn_env.gradient_coding.codes.hierarchical_code import Combination, HierarchicalCode
from edgelearn_env.gradient_coding.execution.delays import Delays
from edgelearn_env.gradient_coding.execution.sites import Finished, Group, Hub, Site
from edgelearn_env.gradient_coding.execution.softmax_regression import SoftmaxRegression


class DeviceTask(NamedTuple):
    """What a device is to compute, and how late it is made.

    Attributes:
        code: the code of the round.
        device: k.
        problem: the model and its data.
        weights: to take the gradient at.
        delay_s: seconds to wait before it computes.
    """

    code: HierarchicalCode
    device: int
    problem: SoftmaxRegression
    weights: np.ndarray
    delay_s: float


class EdgeTask(NamedTuple):
    """What an edge node is to gather.

    Attributes:
        code: the code of the round.
        edge: i.
        devices: a task for each of its devices.
        delay_s: what its message takes to the master.
    """

    code: HierarchicalCode
    edge: int
    devices: tuple[DeviceTask, ...]
    delay_s: float


class EdgeAnswer(NamedTuple):
    """What an edge node sends.

    Attributes:
        message: the combination of its devices' messages.
        clocks: of the devices whose messages are in it, (begun, finished) by device.
    """

    message: Combination
    clocks: dict[int, tuple[float, float]]


class PlayedRound(NamedTuple):
    """A round as it went.

    Attributes:
        found: the decoded gradient, and the weight of each part in it.
        seconds: from its start until the master had decoded.
        clocks: of the devices whose messages were decoded from, (begun, finished) by device, seconds since the epoch.
        answered: whether a device is one of them, (K,).
    """

    found: Combination
    seconds: float
    clocks: dict[int, tuple[float, float]]
    answered: np.ndarray


def coded_round(
    master: Hub, code: HierarchicalCode, problem: SoftmaxRegression, weights: np.ndarray, delays: Delays
) -> PlayedRound:
    """Play a round: the master goes on with the first n - s_e edge nodes, each with its first m_i - s_w devices.

    Args:
        master: of an engine that was made for these groups.
        code: of the round.
        problem: whose gradient is sought: the sum over the code's parts.
        weights: where.
        delays: injected.
    """
    layout, tasks = code.layout, edge_tasks(code, problem, weights, delays)
    begun_s = time.perf_counter()
    came = _first_of(master.start(gathered, tasks), layout.num_edges - layout.edge_stragglers)
    found = code.decoded({edge.member: edge.answer.message for edge in came})
    seconds = time.perf_counter() - begun_s
    clocks = {device: times for edge in came for device, times in sorted(edge.answer.clocks.items())}
    return PlayedRound(found, seconds, clocks, np.isin(np.arange(layout.num_devices), list(clocks)))


def edge_tasks(
    code: HierarchicalCode, problem: SoftmaxRegression, weights: np.ndarray, delays: Delays
) -> Sequence[EdgeTask]:
    """What each edge node is to gather, and each of its devices to compute, in such a round."""
    device_s = delays.device_s(code).tolist()

    def devices(edge: int) -> tuple[DeviceTask, ...]:
        return tuple(DeviceTask(code, k, problem, weights, device_s[k]) for k in code.devices_of(edge))

    return [EdgeTask(code, edge, devices(edge), delay_s) for edge, delay_s in enumerate(delays.edge_s.tolist())]


def gathered(task: EdgeTask, edge: Hub) -> EdgeAnswer:
    """An edge node's work: have the first m_i - s_w of its devices' messages, combine them, send that."""
    count = len(task.devices) - task.code.layout.device_stragglers
    came = _first_of(edge.start(computed, task.devices), count)
    messages = {task.devices[device.member].device: device.answer for device in came}
    clocks = {task.devices[device.member].device: (device.begun_s, device.finished_s) for device in came}
    message = task.code.edge_message(task.edge, messages)
    edge.pause(task.delay_s)
    return EdgeAnswer(message, clocks)


def computed(task: DeviceTask, device: Site) -> np.ndarray:
    """A device's work: the gradients of its parts, combined into its message."""
    device.pause(task.delay_s)
    parts = task.code.parts_of(task.device).tolist()
    gradients = np.stack([task.problem.gradient(task.weights, part) for part in parts])
    message: np.ndarray = task.code.message(task.device, gradients)
    return message


def _first_of(group: Group, count: int) -> list[Finished]:
    """The first answers of a group; the rest of it is told to stop, whatever happens."""
    try:
        return group.first(count)
    finally:
        group.stop()
