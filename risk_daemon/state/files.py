"""How something is put into a file: strict JSON text, and files that are replaced whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from risk_daemon.errors import InvariantError
from risk_daemon.model.units import finite, plain


def _beyond_json(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(finite(value))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_beyond_json).encode


def json_text(value: Mapping[str, Any]) -> str:
    """`value` as one line of ASCII JSON, keys in their own order, Decimals as strings without exponent.

    Raises InvariantError for NaN, infinities and anything that JSON can't say.
    """
    try:
        return _encode(value if type(value) is dict else dict(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvariantError(f"this can't be written as JSON: {error}") from error


def utc_text(wall: float) -> str:
    """Unix seconds as `2026-11-20T11:00:00.123456Z`. Raises InvariantError for what is no date."""
    try:
        moment = datetime.fromtimestamp(wall, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvariantError(f"{wall!r} is not a time: {error}") from error
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def replace_file(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Readers see the old content or all of `data`, never a part. Forced to disk only if `durable`. Raises OSError.

    The mode is what is said, whatever the umask.
    One writer a path: the temporary file beside it has a fixed name, so a killed writer leaves one at most.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, mode)
            written = file.write(data)
            if durable:
                os.fsync(descriptor)
        if written != len(data):
            raise OSError(f"only {written} of {len(data)} bytes could be written")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def let_group_read(descriptor: int, directory: Path) -> None:
    """Whoever is in the directory's group may read the file, if that can be had; nobody else may."""
    with suppress(OSError):
        os.fchown(descriptor, -1, directory.stat().st_gid)
        os.fchmod(descriptor, 0o640)


def sync_directory(path: Path) -> None:
    """Force a directory's entries to disk, so that a new file is still there after a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
