"""A server that speaks no protocol: it says its bytes to everybody, whatever they say, and then waits or goes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class RawServer:
    """says: in one go. again: for ever, as fast as it is read. goes: it closes the connection afterwards."""

    def __init__(self, says: bytes, *, again: bool = False, goes: bool = False) -> None:
        self._says = says
        self._again = again
        self._goes = goes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._speak, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _speak(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(self._says)
            while self._again:
                connection.sendall(self._says)
            if self._goes:
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
