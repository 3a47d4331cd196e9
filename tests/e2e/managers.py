"""A systemd of the test's own, in namespaces of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MANAGER = Path("/lib/systemd/systemd")
_PROBE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "mount", "--make-rprivate", "/")


def skip_without() -> None:
    """End the test where none can be started."""
    can = MANAGER.exists() and os.geteuid() == 0 and shutil.which("unshare") is not None
    if not can or subprocess.run(_PROBE, capture_output=True, check=False).returncode != 0:
        pytest.skip("no systemd can be started here: it takes root and namespaces")
