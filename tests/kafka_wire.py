"""What a Kafka client asks for, read off the wire: which requests, and what those that produce promise themselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PRODUCE, METADATA, INIT_PRODUCER_ID = 0, 3, 22
NOBODY = -1
"""The id of a producer that has none: a broker can't tell its repeats."""
_READ_FROM, _FLEXIBLE_FROM, _READ_TO = 3, 9, 12  # versions of Produce; the later ones name topics otherwise
_BATCH = struct.Struct(">qiibIhiqqqhi")


@dataclass(frozen=True)
class Asked:
    """One request. acks, producer, sequence: of one that produces, and of its first batch; else, and where its version
    is not known here, None.

    acks: how many must have it, -1 for all that are in sync. producer: the id that a broker gave it, or NOBODY.
    sequence: of the producer for this partition; who sends a batch again says the same one.
    """

    api: int
    version: int
    client: str
    acks: int | None = None
    producer: int | None = None
    sequence: int | None = None


class Requests:
    """Those of one connection, from pieces of any size."""

    def __init__(self) -> None:
        self._unread = b""

    def of(self, data: bytes) -> Iterator[Asked]:
        """All that are whole with this piece."""
        self._unread += data
        while len(self._unread) >= 4:
            end = 4 + int.from_bytes(self._unread[:4], "big")
            if len(self._unread) < end:
                return
            request, self._unread = self._unread[4:end], self._unread[end:]
            yield _asked(request)


class _Fields:
    """One after the other. is_flexible: lengths have no fixed size, and tags may follow."""

    def __init__(self, data: bytes, *, is_flexible: bool = False) -> None:
        self._data, self._at, self._is_flexible = data, 0, is_flexible

    def number(self, size: int) -> int:
        return int.from_bytes(self._bytes(size), "big", signed=True)

    def _bytes(self, size: int) -> bytes:
        found, self._at = self._data[self._at : self._at + size], self._at + size
        if len(found) != size:
            raise ValueError("a request that ends before its end")
        return found

    def _length(self, size: int) -> int:
        """-1: there is nothing, not even an empty one."""
        return self._small() - 1 if self._is_flexible else self.number(size)

    def _small(self) -> int:
        found = shift = 0
        while (byte := self._bytes(1)[0]) & 0x80:
            found, shift = found | (byte & 0x7F) << shift, shift + 7
        return found | byte << shift

    def text(self) -> bytes:
        return self._bytes(max(0, self._length(2)))

    def block(self) -> bytes:
        return self._bytes(max(0, self._length(4)))

    def count(self) -> int:
        return self._length(4)

    def tags(self) -> None:
        if self._is_flexible:
            for _ in range(self._small()):
                self._small()
                self._bytes(self._small())

    @property
    def rest(self) -> bytes:
        return self._data[self._at :]


def _asked(request: bytes) -> Asked:
    header = _Fields(request)
    api, version, _ = header.number(2), header.number(2), header.number(4)
    client = header.text().decode()  # its length has a fixed size in every version
    if api != PRODUCE or not _READ_FROM <= version <= _READ_TO:
        return Asked(api, version, client)
    body = _Fields(header.rest, is_flexible=version >= _FLEXIBLE_FROM)
    body.tags()  # of the header
    body.text()  # the transaction
    acks, _ = body.number(2), body.number(4)
    if body.count() < 1:
        return Asked(api, version, client, acks)
    body.text()  # the topic
    if body.count() < 1:
        return Asked(api, version, client, acks)
    body.number(4)  # the partition
    *_, producer, _, sequence = _BATCH.unpack_from(body.block())
    return Asked(api, version, client, acks, producer, sequence)
