"""What a round needs of the machines that it runs on: start the work of a group, have the first of it, stop the rest.

Devices are sites; edge nodes and the master are hubs, which start works on the sites below them, a group at a time.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

# A site looks this often whether it is to stop.
SLICE_S = 0.005


class Stopped(Exception):  # noqa: N818 - no error: an order
    """Raised within work that was told to stop: nobody waits for its answer."""


class Finished(NamedTuple):
    """An answer, and when it was worked on, by the clock of the site that did.

    Attributes:
        member: which of the group's tasks it answers.
        answer: what the work returned.
        begun_s: when the site took it up, seconds since the epoch.
        finished_s: when it was done.
    """

    member: int
    answer: Any
    begun_s: float
    finished_s: float


@runtime_checkable
class Group(Protocol):
    """Works that were started together, one on each site below."""

    def first(self, count: int) -> list[Finished]:
        """The `count` answers that their sites' clocks say were first, of those there are as soon as enough are.

        Works that were stopped count, but have no answer.

        Raises:
            Stopped: the site that waits for them is to stop itself.
        """
        ...

    def stop(self) -> None:
        """Tell all that still work to stop."""
        ...


@runtime_checkable
class Site(Protocol):
    """Where work is done."""

    def pause(self, seconds: float) -> None:
        """Do nothing for that long.

        Raises:
            Stopped: it is to stop.
        """
        ...


@runtime_checkable
class Hub(Site, Protocol):
    """A site with others below it."""

    def start(self, do: "Work", tasks: Sequence[Any]) -> Group:
        """Start `do` on each site below, with a task for each."""
        ...


# What is done with a task, at a site or hub.
Work = Callable[[Any, Any], Any]


def done(do: Work, task: Any, site: Site, member: int) -> Finished | None:
    """Do the work, by this machine's clock; None if it was stopped."""
    begun_s = time.time()
    try:
        answer = do(task, site)
    except Stopped:
        return None
    return Finished(member, answer, begun_s, time.time())


def earliest(answers: Iterable[Finished | None], count: int) -> list[Finished]:
    """The first `count` of the answers by their sites' clocks, leaving out what was stopped."""
    finished = [answer for answer in answers if answer is not None]
    return sorted(finished, key=lambda answer: answer.finished_s)[:count]


def pause_unless(stopped: Callable[[], bool], seconds: float) -> None:
    """Sleep, but raise `Stopped` soon after `stopped` has become true."""
    end_s = time.perf_counter() + seconds
    while True:
        if stopped():
            raise Stopped
        left_s = end_s - time.perf_counter()
        if left_s <= 0:
            return
        time.sleep(min(left_s, SLICE_S))
