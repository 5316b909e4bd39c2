"""Jobs shared out among the processes that this one may use: the only place that decides how many those are."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import joblib
from joblib.parallel import get_active_backend


def shared_out(jobs: Iterable[Any], num_jobs: int, num_workers: int | None = None) -> Iterator[Any]:
    """The result of each job in turn, as soon as it and those before it are done.

    A backend that cannot do so, such as Ray's, is given a few jobs for each process at a time: an interruption costs
    these. A single worker is this process itself, whatever the backend: each job runs when its result is asked for.

    Args:
        jobs: calls that `joblib.delayed` put off.
        num_jobs: how many those are.
        num_workers: as for `worker_count`.
    """
    if (count := worker_count(num_jobs, num_workers)) == 1:
        return (function(*arguments, **named) for function, arguments, named in jobs)
    backend, _ = get_active_backend()
    in_turn = getattr(backend, "supports_return_generator", False)
    parallel = joblib.Parallel(n_jobs=count, return_as="generator" if in_turn else "list")
    return iter(parallel(jobs)) if in_turn else _some_at_a_time(parallel, iter(jobs), _JOBS_A_PROCESS * count)


def _some_at_a_time(parallel: joblib.Parallel, jobs: Iterator[Any], some: int) -> Iterator[Any]:
    with parallel:
        while batch := list(itertools.islice(jobs, some)):
            yield from parallel(batch)


_JOBS_A_PROCESS = 4


def worker_count(num_jobs: int, num_workers: int | None = None) -> int:
    """How many processes to share `num_jobs` jobs among, at least 1, at most one for each job.

    Args:
        num_jobs: how many jobs there are.
        num_workers: as many, whatever else is said. If None, `joblib.parallel_config` decides, by its number or by what
            its backend has (a cluster of Ray or Dask); where that is not set either, one for each core that this
            process may use, which its affinity or container may make fewer than the machine has.
    """
    if num_jobs <= 1:
        return 1  # Asking joblib takes a quarter of a millisecond, and a round of MPC is ten.
    _, configured = get_active_backend()
    available: int = joblib.effective_n_jobs(num_workers or configured or -1)
    return max(min(available, num_jobs), 1)
