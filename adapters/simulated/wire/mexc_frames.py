"""Frames of mexc's spot socket: protobuf, written by field numbers.

After the .proto files that the venue publishes (github.com/mexcdevelop/websocket-proto). Written by hand, because five
sorts of field in four messages are less than a library, and a client that reads them by one is the better test.
"""

from __future__ import annotations

from collections.abc import Mapping

Value = str | int | bool | bytes

_VARINT, _BYTES = 0, 2
_CHANNEL, _SYMBOL, _CREATE_TIME, _SEND_TIME = 1, 3, 5, 6
ORDERS, DEALS, ACCOUNT, BOOK_TICKER = 304, 306, 307, 315
"""Which field of the wrapper holds the body."""


def message(fields: Mapping[int, Value | None]) -> bytes:
    """A message of these fields. None is left out; so is what a reader takes for granted, as the format has it."""
    return b"".join(_field(number, value) for number, value in sorted(fields.items()) if value)


def push(body: int, channel: str, fields: Mapping[int, Value | None], stamp: int, symbol: str | None = None) -> bytes:
    """A whole frame: the wrapper, and in it one body."""
    head = {_CHANNEL: channel, _SYMBOL: symbol, _CREATE_TIME: stamp, _SEND_TIME: stamp}
    return message({**head, body: message(fields)})


def _field(number: int, value: Value | None) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(int(value))
    raw = value.encode() if isinstance(value, str) else value or b""
    return _varint(number << 3 | _BYTES) + _varint(len(raw)) + raw


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that there is more."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
