"""Linear algebra runs in one thread while an optimum is sought, and as before afterwards."""

from threadpoolctl import ThreadpoolController

from edgelearn_env.baselines.one_thread import one_thread


def num_threads() -> list[int]:
    """Of each library of linear algebra that is loaded."""
    libraries = ThreadpoolController().select(user_api="blas")
    return [library.num_threads for library in libraries.lib_controllers]


def test_lasts_as_long_as_its_block() -> None:
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = num_threads()
        with one_thread():
            within = num_threads()
        after = num_threads()
    assert set(within) == {1}
    assert max(before) == 2
    assert after == before
