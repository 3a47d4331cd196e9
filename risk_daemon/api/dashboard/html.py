"""HTML as values. Whatever is not markup already is text, and is written as text: hostile words stay words.

This little instead of a template library: nothing has to be remembered to be escaped, and a checker sees the types.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_VOID = frozenset({"br", "col", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML already. Made by `tag` and `text` only."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"


def text(value: object) -> Markup:
    """`value` as HTML. What does not print, such as a sign that turns the reading around, becomes a space."""
    if isinstance(value, Markup):
        return value
    words = str(value)
    if not words.isprintable():
        words = "".join(char if char.isprintable() else " " for char in words)
    return Markup(escape(words, quote=True))


def joined(*children: Child) -> Markup:
    """One after the other."""
    return Markup("".join(_flat(children)))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element. `class_` and `aria_label` are written `class` and `aria-label`; True is a bare name."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    opening = f"<{name}{written}>"
    return Markup(opening if name in _VOID else f"{opening}{joined(*children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{text(value)}"'


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, str):
            yield text(child)
        else:
            yield from _flat(child)
