"""Coded rounds on one machine: devices are processes; edge nodes, which only wait and combine, are threads."""

import contextlib
import itertools
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

from edgelearn_env.gradient_coding.execution.sites import (
    SLICE_S,
    Finished,
    Group,
    Hub,
    Stopped,
    Work,
    done,
    earliest,
    pause_unless,
)


@contextlib.contextmanager
def process_engine(group_sizes: Sequence[int]) -> Iterator[Hub]:
    """The master on this machine, above n edge nodes and a process for each of K devices; they end with it.

    Args:
        group_sizes: m_i, devices of each edge node, (n,).
    """
    num_devices, context = sum(group_sizes), _context()
    # For every device the number of the last order that it need not go on with.
    stopped = context.Array("q", num_devices, lock=False)
    here = context.Barrier(num_devices)
    with (
        ProcessPoolExecutor(num_devices, context, _begin, (stopped, here)) as devices,
        ThreadPoolExecutor(len(group_sizes)) as edges,
    ):
        # Each waits for the last one to be there, so that no round waits for a process.
        wait([devices.submit(int) for _ in range(num_devices)])
        yield _Master(group_sizes, edges, _Devices(devices, stopped, itertools.count(1)))


class _Devices(NamedTuple):
    """The processes, the orders of all devices that have been stopped, and numbers for new ones."""

    pool: ProcessPoolExecutor
    stopped: Any
    orders: Iterator[int]


class _Futures:
    """A group of works, whose answers are futures."""

    def __init__(
        self, futures: Sequence[Future[Finished | None]], stop: Callable[[], None], stopped: Callable[[], bool]
    ) -> None:
        self._futures = futures
        self._stop = stop
        self._stopped = stopped

    def first(self, count: int) -> list[Finished]:
        pending, answers = set(self._futures), list[Finished | None]()
        while len(answers) < count:
            if self._stopped():
                raise Stopped
            finished, pending = wait(pending, SLICE_S, FIRST_COMPLETED)
            answers += [future.result() for future in finished]
        return earliest(answers, count)

    def stop(self) -> None:
        self._stop()


class _Master:
    """The master's site; what it starts runs on edge nodes."""

    def __init__(self, group_sizes: Sequence[int], edges: ThreadPoolExecutor, devices: _Devices) -> None:
        ends = list(itertools.accumulate(group_sizes))
        self._groups = [range(end - size, end) for end, size in zip(ends, group_sizes, strict=True)]
        self._edges = edges
        self._devices = devices

    def start(self, do: Work, tasks: Sequence[Any]) -> Group:
        stop = threading.Event()
        sites = [_Edge(group, self._devices, stop.is_set) for group in self._groups]
        works = enumerate(zip(tasks, sites, strict=True))
        return _Futures([self._edges.submit(done, do, *work, member) for member, work in works], stop.set, _never)

    def pause(self, seconds: float) -> None:
        pause_unless(_never, seconds)


class _Edge:
    """An edge node's site; what it starts runs on its devices."""

    def __init__(self, group: range, devices: _Devices, stopped: Callable[[], bool]) -> None:
        self._group = group
        self._devices = devices
        self._stopped = stopped

    def start(self, do: Work, tasks: Sequence[Any]) -> Group:
        pool, stopped, orders = self._devices
        order = next(orders)
        works = enumerate(zip(tasks, self._group, strict=True))
        futures = [pool.submit(_on_device, do, task, device, order, member) for member, (task, device) in works]

        def stop() -> None:
            stopped[self._group.start : self._group.stop] = [order] * len(self._group)

        return _Futures(futures, stop, self._stopped)

    def pause(self, seconds: float) -> None:
        pause_unless(self._stopped, seconds)


class _Device:
    """A device's site, within its process."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped

    def pause(self, seconds: float) -> None:
        pause_unless(self._stopped, seconds)


# Within a device's process: what `_begin` was handed.
_orders_stopped: Any = None


def _begin(stopped: Any, here: Any) -> None:
    global _orders_stopped
    _orders_stopped = stopped
    here.wait()


def _on_device(do: Work, task: Any, device: int, order: int, member: int) -> Finished | None:
    return done(do, task, _Device(lambda: _orders_stopped[device] >= order), member)


def _never() -> bool:
    return False


def _context() -> BaseContext:
    """How processes begin: forked from one that has loaded this package and has no threads, where there is that."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["edgelearn_env.gradient_coding.execution.coded_round", "array_api_compat.numpy"])
    return context
