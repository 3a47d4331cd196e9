"""Machines that can be cut from each other, and disks that can be full: namespaces of Linux.

Machines are network namespaces on a bridge that has one of its own; nothing of them reaches the host's network. As root
namespaces are simply made; anybody else gets a user namespace around them. One lives as long as the process that holds
it, and goes with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

NEEDED = "TESTS_NEED_NAMESPACES"
_WITHIN_S = 10.0
_NOBODY = "65534"
_ELSEWHERE = "02:00:00:00:00:ff"
"""A hardware address that nobody on the bridge has."""


class Cut(StrEnum):
    """How one machine is cut from another.

    ERROR: whoever sends is told at once that there is no way. SILENCE: whatever is sent is lost, either way.
    NO_ANSWERS: what is sent arrives, and what comes back is lost. UNPLUGGED: its wire is down, so it is cut from all;
    it is told at once, and they lose what they send until they find that nobody is there.
    """

    ERROR = "an error at once"
    SILENCE = "silence"
    NO_ANSWERS = "answers lost"
    UNPLUGGED = "its wire is out"


class CannotBeMade(Exception):
    """This machine lets nobody make namespaces; why, in words."""


class Machine:
    """A network namespace with one wire to the bridge.

    address: on the wire. local_looking: the same machine by an address in 127.0.0.0/8 that leads over the wire, for
    what may only be given an address of its own machine.
    """

    def __init__(self, number: int, holder: subprocess.Popen[bytes], enter: Sequence[str]) -> None:
        self.address = f"10.77.0.{number}"
        self.local_looking = f"127.77.0.{number}"
        self.wire = f"wire{number}"
        self._holder = holder
        self.within = [*enter, "-t", str(holder.pid), "-n"]
        """What stands before a command that is to run on this machine."""

    @property
    def namespace(self) -> str:
        return f"/proc/{self._holder.pid}/ns/net"

    @property
    def as_nobody(self) -> list[str]:
        """The same, by somebody who is not root there: a server may refuse to run as root."""
        return [*self.within, *_as_nobody()]

    def run(self, *words: str) -> None:
        """A command there, to its end. Raises CannotBeMade with what it says."""
        _done([*self.within, *words])

    def lose(self, other: Machine, how: Cut) -> None:
        """What is sent from here to `other` does not arrive any more."""
        for address in (other.address, other.local_looking):
            if how is Cut.ERROR:
                self.run("ip", "route", "replace", "unreachable", f"{address}/32")
            else:
                self.run("ip", "neigh", "replace", address, "lladdr", _ELSEWHERE, "dev", "eth0", "nud", "permanent")

    def find(self, other: Machine, how: Cut) -> None:
        """The way to `other` is as it was."""
        for address in (other.address, other.local_looking):
            if how is Cut.ERROR:
                self.run("ip", "route", "del", "unreachable", f"{address}/32")
            else:
                self.run("ip", "neigh", "del", address, "dev", "eth0")

    def end(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Network:
    """A bridge, and machines on it, made one by one."""

    def __init__(self) -> None:
        if any(shutil.which(tool) is None for tool in ("ip", "unshare", "nsenter")):
            raise CannotBeMade("`ip`, `unshare` or `nsenter` is missing: `apt-get install iproute2 util-linux`")
        self._machines: list[Machine] = []
        bridge = self._held([*_made(), "-n"])
        try:
            bridge.run("ip", "link", "add", "bridge", "type", "bridge")
            bridge.run("ip", "link", "set", "bridge", "up")
        except CannotBeMade:
            self.close()
            raise
        self._bridge = bridge

    def machine(self) -> Machine:
        """One more, on the wire. Raises CannotBeMade."""
        made = self._held([*self._bridge.within, "unshare", "-n"])
        self._bridge.run(
            "ip", "link", "add", made.wire, "type", "veth", "peer", "name", "eth0", "netns", made.namespace
        )
        self._bridge.run("ip", "link", "set", made.wire, "master", "bridge", "up")
        # The kernel keeps 127.0.0.0/8 to itself unless it is told otherwise.
        made.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet 2>/dev/null || true")
        for words in (
            "link set lo up",
            f"addr add {made.address}/24 dev eth0",
            "link set eth0 up",
            "route del local 127.0.0.0/8 dev lo table local",
            "route add local 127.0.0.0/16 dev lo table local src 127.0.0.1",
            f"addr add {made.local_looking}/24 dev eth0",
        ):
            made.run("ip", *words.split())
        return made

    @contextmanager
    def cut(self, one: Machine, other: Machine, how: Cut) -> Iterator[None]:
        """The two are cut from each other, `one` being who asks, until the end of the block."""
        ends = [(other, one)] if how is Cut.NO_ANSWERS else [(one, other), (other, one)]
        for here, there in ends:
            here.lose(there, how)
        try:
            yield
        finally:
            for here, there in ends:
                here.find(there, how)

    @contextmanager
    def unplugged(self, machine: Machine) -> Iterator[None]:
        """Its wire hangs loose, until the end of the block: who asks from there is told, who asks for it is not."""
        machine.run("ip", "link", "set", "eth0", "down")
        try:
            yield
        finally:
            machine.run("ip", "link", "set", "eth0", "up")

    def close(self) -> None:
        for machine in reversed(self._machines):
            machine.end()

    def _held(self, words: Sequence[str]) -> Machine:
        """A namespace that is there on return. Raises CannotBeMade."""
        others = {os.stat(of).st_ino for of in ("/proc/self/ns/net", *(one.namespace for one in self._machines[:1]))}
        holder = subprocess.Popen([*words, "sleep", "infinity"], stderr=subprocess.PIPE)
        made = Machine(len(self._machines) + 1, holder, _entered())
        self._machines.append(made)
        deadline = time.monotonic() + _WITHIN_S
        while os.stat(made.namespace).st_ino in others or not _sleeps(holder):
            if holder.poll() is not None or time.monotonic() > deadline:
                assert holder.stderr is not None
                holder.kill()
                raise CannotBeMade(holder.stderr.read().decode().strip() or "unshare: no namespace came")
            time.sleep(0.005)
        return made


def _made() -> list[str]:
    """What makes a namespace; its kind comes after it."""
    return ["unshare"] if os.geteuid() == 0 else ["unshare", "-r"]


def _entered() -> list[str]:
    return ["nsenter"] if os.geteuid() == 0 else ["nsenter", "--preserve-credentials", "-U"]


def _as_nobody() -> list[str]:
    """After `nsenter` and its kinds: by whom."""
    if os.geteuid() == 0:
        return ["-S", _NOBODY, "-G", _NOBODY]
    return ["unshare", "-U", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"]


class Disk:
    """A small disk in the place of the folder `at`, with what is in it, for the commands that run `as_nobody`.

    Everybody else sees the folder as it was. machine: where these run. Raises CannotBeMade.
    """

    def __init__(self, at: Path, mb: int, machine: Machine | None = None) -> None:
        self.at = at
        self._filling: subprocess.Popen[bytes] | None = None
        room = at.with_name(f"{at.name}-disk")
        room.mkdir()
        words = (
            f'mount -t tmpfs -o size={mb}m,mode=0700 disk "$1" && chown --reference="$2" "$1" && cp -a "$2"/. "$1"/'
            ' && mount --bind "$1" "$2" && exec sleep infinity'
        )
        made = _made() if machine is None else [*machine.within, "unshare"]
        try:
            self._holder = subprocess.Popen(
                [*made, "-m", "sh", "-c", words, "-", str(room), str(at)], stderr=subprocess.PIPE
            )
        except FileNotFoundError as error:
            raise CannotBeMade(str(error)) from error
        self._within = [*_entered(), "-t", str(self._holder.pid), "-m", *([] if machine is None else ["-n"])]
        deadline = time.monotonic() + _WITHIN_S
        while not _sleeps(self._holder):
            if self._holder.poll() is not None or time.monotonic() > deadline:
                assert self._holder.stderr is not None
                self._holder.kill()
                raise CannotBeMade(self._holder.stderr.read().decode().strip() or "mount: no disk came")
            time.sleep(0.005)

    @property
    def as_nobody(self) -> list[str]:
        """What stands before a command that is to use it."""
        return [*self._within, *_as_nobody()]

    def fill(self) -> None:
        """To the last byte; and again whatever anybody frees, until there is room again."""
        again = 'while sleep 0.02; do cat /dev/zero >> "$1"/filling 2>/dev/null; done'
        filled = f'cat /dev/zero > "$1"/filling 2>/dev/null; echo full; {again}'
        words = [*self._within, "sh", "-c", filled, "-", str(self.at)]
        self._filling = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
        assert self._filling.stdout is not None
        assert self._filling.stdout.readline() == b"full\n"

    def make_room(self) -> None:
        self._stop_filling()
        _done([*self._within, "rm", str(self.at / "filling")])

    def _stop_filling(self) -> None:
        if self._filling is not None:
            os.killpg(self._filling.pid, signal.SIGKILL)
            self._filling.communicate()
        self._filling = None

    def close(self) -> None:
        self._stop_filling()
        self._holder.kill()
        self._holder.wait()


def _sleeps(holder: subprocess.Popen[bytes]) -> bool:
    """Whether it has come to its last command: by then it is where it is to be."""
    return Path(f"/proc/{holder.pid}/cmdline").read_bytes().startswith(b"sleep")


def _done(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=_WITHIN_S)
    if done.returncode:
        raise CannotBeMade(f"{' '.join(words)}: {done.stdout}{done.stderr}".strip())


class Closable(Protocol):
    def close(self) -> None: ...


_T = TypeVar("_T", bound="Closable")


@contextmanager
def needed(make: Callable[[], _T]) -> Iterator[_T]:
    """What `make` gives. Skips the test where it can't be made, unless the environment says that it must be."""
    try:
        made = make()
    except CannotBeMade as error:
        if os.environ.get(NEEDED) == "1":
            pytest.fail(f"{NEEDED}=1, and no namespace can be made: {error}")
        pytest.skip(f"no namespace can be made here, neither as root nor in a user namespace: {error}")
    try:
        yield made
    finally:
        made.close()
