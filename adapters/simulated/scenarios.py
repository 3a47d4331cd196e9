"""Which venues can be simulated: those that have a file in `scenes/`.

Each default account holds some thousand USDT (both krakens together 10,000), has prices and no orders.
"""

from __future__ import annotations

import importlib
import pkgutil

from adapters.simulated import scenes
from adapters.simulated.wire.base import Face, Key

KINDS = tuple(sorted(found.name for found in pkgutil.iter_modules(scenes.__path__)))

# What was deposited before the story begins is older than anything a client asks for.
FUNDED_BEFORE_S = 30 * 86_400.0


def build(kind: str, key: Key, now: float, *, funded: bool = True) -> Face:
    """A venue of `kind` with its default account, or an empty one. Raises ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} can't be simulated; known are {', '.join(KINDS)}")
    scene = importlib.import_module(f"{scenes.__name__}.{kind}")
    face: Face = scene.make(key, now - FUNDED_BEFORE_S, funded=funded)
    face.exchange.take_notices()
    return face
