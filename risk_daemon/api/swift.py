"""An answer in one piece: header and body as one text, made by whoever answers often.

aiohttp puts a header together anew for each answer, and that takes as long as all of an order's check.
"""

from __future__ import annotations

from aiohttp import HttpVersion11, web

_CLOSE = b"Connection: close\r\n"


class SwiftAnswer(web.StreamResponse):
    """header: from the status line on, every line with its end, without the empty line.

    Whoever does not read the answers is hung up on: they are not piled up.
    """

    def __init__(self, header: bytes, body: bytes) -> None:
        super().__init__()
        self._header_text = header
        self._body_text = body
        self._stays = False
        self._request: web.BaseRequest | None = None

    @property
    def keep_alive(self) -> bool:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        self._request = request
        self._stays = request.keep_alive and request.version == HttpVersion11

    async def write_eof(self, data: bytes = b"") -> None:
        """Raises ConnectionResetError where nobody is there, or nobody reads."""
        request = self._request
        transport = None if request is None else request.transport
        if request is None or transport is None or transport.is_closing():
            raise ConnectionResetError("the caller is gone")
        if request.protocol.writing_paused:
            transport.abort()
            raise ConnectionResetError("the caller does not read its answers")
        connection = b"" if self._stays else _CLOSE
        length = len(self._body_text)
        transport.write(b"%b%bContent-Length: %d\r\n\r\n%b" % (self._header_text, connection, length, self._body_text))
