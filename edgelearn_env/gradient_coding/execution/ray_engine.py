"""Coded rounds on a Ray cluster: an actor for each edge node and each device, spread over its machines.

The machines need this package. Actors have several threads, so that an order to stop reaches one that works; work looks
for it every few milliseconds, so that no delay leaks into a later round.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

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
from edgelearn_env.ray_cluster import connected, ray


@contextlib.contextmanager
def ray_engine(group_sizes: Sequence[int], address: str | None = None) -> Iterator[Hub]:
    """The master, above n edge nodes and K devices of a Ray cluster, which end with it.

    Args:
        group_sizes: m_i, devices of each edge node, (n,).
        address: of the cluster, such as ray://HOST:10001 or auto; a new one on this machine if None.

    Raises:
        InvalidInputError: there is no cluster at that address, or it wants a token that RAY_AUTH_TOKEN does not hold.
    """
    with connected(address):
        below = [_MachineActor.remote([_MachineActor.remote([]) for _ in range(size)]) for size in group_sizes]
        ray.get([machine.are_here.remote() for machine in below])
        yield _Hub(below, itertools.count(1), lambda: False)


class _Answers:
    """A group of works on machines."""

    def __init__(self, answers: list[Any], stop: Callable[[], None], stopped: Callable[[], bool]) -> None:
        self._answers = answers
        self._stop = stop
        self._stopped = stopped

    def first(self, count: int) -> list[Finished]:
        ready: list[Any] = []
        while len(ready) < count:
            if self._stopped():
                raise Stopped
            ready, _ = ray.wait(self._answers, num_returns=count, timeout=SLICE_S)
        # Of several that are ready Ray hands on those that were asked first: all are wanted, to find the earliest.
        ready, _ = ray.wait(self._answers, num_returns=len(self._answers), timeout=0)
        return earliest(ray.get(ready), count)

    def stop(self) -> None:
        self._stop()


class _Hub:
    """A site on a machine, with those below it."""

    def __init__(self, below: Sequence[Any], orders: Iterator[int], stopped: Callable[[], bool]) -> None:
        self._below = below
        self._orders = orders
        self._stopped = stopped

    def start(self, do: Work, tasks: Sequence[Any]) -> Group:
        order = next(self._orders)
        works = enumerate(zip(self._below, tasks, strict=True))
        answers = [machine.work.remote(do, task, order, member) for member, (machine, task) in works]

        def stop() -> None:
            for machine in self._below:
                machine.stop.remote(order)

        return _Answers(answers, stop, self._stopped)

    def pause(self, seconds: float) -> None:
        pause_unless(self._stopped, seconds)


class _Machine:
    """An edge node or a device of the cluster."""

    def __init__(self, below: Sequence[Any]) -> None:
        self._below = below
        self._orders = itertools.count(1)
        # The number of the last order that it need not go on with.
        self._stopped = 0

    def are_here(self) -> bool:
        """True, once this one and all below it are there."""
        return all(ray.get([machine.are_here.remote() for machine in self._below]))

    def work(self, do: Work, task: Any, order: int, member: int) -> Finished | None:
        """The answer to a task, or None if it was stopped."""
        return done(do, task, _Hub(self._below, self._orders, lambda: self._stopped >= order), member)

    def stop(self, order: int) -> None:
        """Stop what was started with that order, or an earlier one."""
        self._stopped = max(self._stopped, order)


# A thread to work, one to hear that it is to stop, and one for the next work to begin while the last one ends.
_MachineActor: Any = ray.remote(num_cpus=0, max_concurrency=3, scheduling_strategy="SPREAD")(_Machine)
