"""How the C library is kept from giving memory back that the next step needs again."""

import numpy as np


def keep_freed_memory() -> None:
    """Have the C library keep freed arrays for the next ones, instead of giving their pages back at each step.

    Once a block of that size was freed, glibc takes up to twice as much to be worth keeping. A step of thousands of
    episodes is up to twice as fast then; elsewhere this does nothing.
    """
    np.empty(_KEPT_BYTES, dtype=np.uint8)


# A little below 32 MiB, the largest that counts.
_KEPT_BYTES = 2**25 - 2**16
