"""Keeping what this process knows to itself: a core dump would hold the API secrets."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """No core file, and no dump by any other way (prctl(2), PR_SET_DUMPABLE). For this process; not for what it execs.

    Never raises: where a sandbox forbids it, the unit's LimitCORE= holds.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):  # AttributeError: another system's libc
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
