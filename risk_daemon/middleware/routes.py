"""Which requests are guarded: method and path patterns, and no way of writing a path that slips past them.

A pattern is `"POST /orders"`: `*` stands for any method, or any one segment of a path; `{name}` for one segment as
well; `**` for any number of them. Paths are compared decoded, without empty and dotted segments, trailing slashes
and case: an application may be as lenient, and one that is not answers 404 either way.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

DEFAULT: Final = ("POST /orders",)
_PATTERN = re.compile(r"(\*|[A-Za-z]+)\s+(/\S*)")
_PARAMETER = re.compile(r"\{[^{}]*\}")
_DECODINGS: Final = 4


@dataclass(frozen=True, slots=True)
class Routes:
    """The guarded ones, as (method, segments)."""

    patterns: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Routes:
        """Raises ValueError for a pattern that can't be read, and for none at all."""
        given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if not given:
            raise ValueError("nothing is guarded: give a pattern such as 'POST /orders'")
        return cls(tuple(_pattern(text) for text in given))

    def guards(self, method: str, paths: Iterable[str]) -> bool:
        """Whether a request of `method` to any of `paths` is guarded. paths: one path, as several readers see it."""
        spellings = {segments for path in paths for segments in _spellings(path)}
        return any(
            wanted in ("*", method.strip().upper()) and any(_fits(pattern, segments) for segments in spellings)
            for wanted, pattern in self.patterns
        )


def seen_from(root: str, path: str) -> tuple[str, ...]:
    """`path` as it is, and as an application sees it that is mounted at `root`; servers differ in which they give."""
    prefix = root.rstrip("/")
    if not prefix:
        return (path,)
    inside = (path[len(prefix) :],) if path == prefix or path.startswith(prefix + "/") else ()
    return (path, prefix + path, *inside)


def _pattern(text: str) -> tuple[str, tuple[str, ...]]:
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a pattern: write a method and a path, such as 'POST /orders'")
    path = _PARAMETER.sub("*", match[2])
    return match[1].upper(), tuple(segment.casefold() for segment in path.split("/") if segment)


def _spellings(path: str) -> set[tuple[str, ...]]:
    """The segments of `path` after each decoding: what a proxy encoded twice is one route to the application."""
    found = set()
    for _ in range(_DECODINGS):
        found.add(_segments(path))
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    return found


def _segments(path: str) -> tuple[str, ...]:
    segments: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        name = part.strip().casefold()
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    return tuple(segments)


def _fits(pattern: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if not pattern:
        return not segments
    if pattern[0] == "**":
        return any(_fits(pattern[1:], segments[skipped:]) for skipped in range(len(segments) + 1))
    return bool(segments) and fnmatch.fnmatchcase(segments[0], pattern[0]) and _fits(pattern[1:], segments[1:])
