"""How many processes work: what the user said, else what joblib was told, else what this process may use."""

import os
import subprocess
import sys

import joblib
import pytest
from joblib.parallel import register_parallel_backend

from edgelearn_env.baselines.parallel import shared_out, worker_count

MANY = 1000


@pytest.fixture(autouse=True)
def unconfigured():
    """Nothing is configured here but by the tests themselves."""
    with joblib.parallel_config(backend="loky", n_jobs=None):
        yield


class Cluster(joblib.parallel.ParallelBackendBase):
    """Stands for a cluster with a machine of its own: joblib's backend of Ray or of Dask."""

    def effective_n_jobs(self, n_jobs):
        return 77 if n_jobs == -1 else n_jobs


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(joblib.parallel, "BACKENDS", dict(joblib.parallel.BACKENDS))
    register_parallel_backend("cluster", Cluster)


def test_without_a_word_it_is_as_many_as_joblib_says_that_this_process_may_use(monkeypatch):
    assert worker_count(MANY) == joblib.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: MANY)
    assert worker_count(MANY) == joblib.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
@pytest.mark.parametrize("module", ["baselines.parallel", "scripts.benchmark"])
def test_a_process_that_may_use_one_core_starts_one_worker_whatever_the_machine_has(module):
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.cpu_count = lambda: 64\n"
        f"from edgelearn_env.{module} import shared_out\n"
        "from edgelearn_env.baselines.parallel import worker_count; from joblib import delayed\n"
        "print(worker_count(1000), len(set(shared_out((delayed(os.getpid)() for _ in range(8)), 8))))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(("num_jobs", "num_workers"), [(1, None), (1, 5), (3, 1)])
def test_a_single_worker_is_this_process_whatever_the_backend(cluster, num_jobs, num_workers):
    jobs = [joblib.delayed(os.getpid)() for _ in range(num_jobs)]
    with joblib.parallel_config(backend="cluster", n_jobs=5):
        assert list(shared_out(jobs, num_jobs, num_workers)) == [os.getpid()] * num_jobs


def test_what_the_user_says_is_done_and_there_is_never_more_than_one_a_job():
    assert worker_count(MANY, 5) == 5
    assert worker_count(3, 5) == 3
    assert worker_count(0) == 1


def test_where_joblib_is_configured_it_decides_unless_the_user_does(cluster):
    with joblib.parallel_config(n_jobs=3):
        assert (worker_count(MANY), worker_count(2), worker_count(MANY, 5)) == (3, 2, 5)
    with joblib.parallel_config(backend="cluster"):
        assert (worker_count(MANY), worker_count(MANY, 5)) == (77, 5)
    with joblib.parallel_config(backend="cluster", n_jobs=6):
        assert worker_count(MANY) == 6


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "sequential"])
def test_results_come_in_the_order_of_the_jobs_on_any_backend(backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert list(shared_out((joblib.delayed(pow)(number, 2) for number in range(5)), 5)) == [0, 1, 4, 9, 16]


def test_a_result_is_there_before_the_last_job_has_begun():
    begun = []

    def job(number):
        begun.append(number)
        return number

    found = shared_out((joblib.delayed(job)(number) for number in range(100)), 100, 1)
    assert next(found) == 0
    assert len(begun) < 100


def test_a_backend_that_hands_on_nothing_in_turn_is_given_a_few_jobs_at_a_time(monkeypatch):
    monkeypatch.setattr(joblib.parallel, "BACKENDS", dict(joblib.parallel.BACKENDS))
    # Joblib's own class says no, and so do Ray's and others made of it.
    register_parallel_backend("plain", joblib._parallel_backends.MultiprocessingBackend)
    begun = []

    def jobs():
        for number in range(30):
            begun.append(number)
            yield joblib.delayed(pow)(number, 2)

    with joblib.parallel_config(backend="plain", n_jobs=2):
        results = shared_out(jobs(), 30)
        assert next(results) == 0
        assert len(begun) == 8
        assert list(results) == [number**2 for number in range(1, 30)]
