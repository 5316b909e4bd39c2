"""Linear algebra runs in one thread while an optimum is sought, and as before afterwards."""

from threading import Event, Thread

import pytest
from threadpoolctl import ThreadpoolController

from edgelearn_env.baselines.one_thread import _libraries, one_thread

if not _libraries().select(user_api="blas").lib_controllers:
    pytest.skip("nothing is known of this machine's linear algebra", allow_module_level=True)


@pytest.fixture(autouse=True)
def two_threads():
    with _libraries().limit(limits=2, user_api="blas"):
        yield


def num_threads() -> list[int]:
    """Of each library of linear algebra."""
    libraries: ThreadpoolController = _libraries().select(user_api="blas")
    return [library.num_threads for library in libraries.lib_controllers]


def test_lasts_as_long_as_its_block_and_blocks_within_it():
    before = num_threads()
    with one_thread:
        with one_thread:
            pass
        assert set(num_threads()) == {1}
    assert num_threads() == before != [1] * len(before)


def test_of_threads_whose_blocks_overlap_the_first_puts_things_back():
    before, entered, left = num_threads(), Event(), Event()

    def other():
        with one_thread:
            entered.set()
            left.wait(10)

    thread = Thread(target=other)
    with one_thread:
        thread.start()
        assert entered.wait(10)
        assert set(num_threads()) == {1}
    left.set()
    thread.join(10)
    assert num_threads() == before
    with one_thread:
        assert set(num_threads()) == {1}
    assert num_threads() == before
