"""What Python and the C library keep of memory that is not in use."""

from __future__ import annotations

import ctypes
import gc

YOUNG_OBJECTS = 20_000
LARGE_BYTES = 128 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def give_back() -> None:
    """Have the C library give large pieces back to the system as soon as they are free.

    glibc raises what it takes for large to the largest piece that was freed. After the first list of pages of JSON all
    later ones come out of one heap, whose gaps it keeps: a third of it with thousands of resources.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)


def settle() -> None:
    """What is there now stays: collections of garbage need not walk through it.

    Hardly anything here is a cycle; at the default of 700 new objects they look all the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
