"""Who operates this machine's daemon: the users of its system."""

from __future__ import annotations

import pwd


def operator_name(uid: int) -> str:
    """Who a user id is, for the records: `uid:1000 (alice)`."""
    try:
        return f"uid:{uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid:{uid}"
