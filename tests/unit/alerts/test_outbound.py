"""What may be called, by name and by address, and that what was checked is what is connected to."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence

import pytest

from risk_daemon.alerts.channels.posting import Poster
from risk_daemon.alerts.outbound import (
    CheckedResolver,
    Disallowed,
    Names,
    is_named,
    is_public,
    refusal_of_addresses,
    refusal_of_url,
)
from risk_daemon.alerts.threads import Threads
from risk_daemon.model.clock import SystemClock
from tests.receivers.http import HttpReceiver

HOOK = "https://hooks.example.org/risk"


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        (HOOK, ()),
        (HOOK, ("hooks.example.org",)),
        (HOOK, ("other.example.org", "HOOKS.example.org.")),
        (HOOK, ("*.example.org",)),
        ("https://größe.example/", ("GRÖSSE.example", "größe.example")),
        ("https://a.größe.example/", ("*.xn--gre-6ka8i.example",)),
        ("https://8.8.8.8/x", ()),
        ("http://hooks.example.org/", ("hooks.example.org",)),
        ("http://127.0.0.1:9000/", ("127.0.0.1",)),
        ("http://[::1]:9000/", ("::1",)),
        ("https://192.168.1.5/", ("192.168.1.5",)),
    ],
)
def test_what_may_be_called(url: str, allow: Sequence[str]) -> None:
    assert refusal_of_url(url, allow) is None


@pytest.mark.parametrize(
    ("url", "allow", "why"),
    [
        (HOOK, ("example.org",), "not in allow"),
        (HOOK, ("*.hooks.example.org",), "not in allow"),
        (HOOK, ("*", "*.", ""), "not in allow"),
        ("https://hooks.example.org.evil.example/", ("hooks.example.org",), "not in allow"),
        ("https://evil-example.org/", ("*.example.org",), "not in allow"),
        ("http://hooks.example.org/", (), "use https"),
        ("ftp://hooks.example.org/", (), "https://"),
        ("file:///etc/passwd", (), "https://"),
        ("hooks.example.org", (), "https://"),
        ("", (), "https://"),
        ("https://", (), "https://"),
        ("https://host:99999/", (), "can't be read"),
        ("https://user:pass@hooks.example.org/", (), "has a user"),
        ("https://127.0.0.1/", (), "no public address"),
        ("https://10.1.2.3/", ("*.example.org", "10.1.2.3.example.org"), "not in allow"),
        ("https://[::1]/", (), "no public address"),
        ("https://[::ffff:127.0.0.1]/", (), "no public address"),
        ("https://169.254.169.254/latest/meta-data", (), "no public address"),
    ],
)
def test_what_may_not(url: str, allow: Sequence[str], why: str) -> None:
    assert why in (refusal_of_url(url, allow) or "")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1"])
def test_anybodys_address(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "192.0.0.192",
        "192.88.99.1",
        "3fff::1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_nobodys_address_or_ones_own(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_one_private_address_among_public_ones_is_enough() -> None:
    assert "10.0.0.1" in (refusal_of_addresses("hooks.example.org", ["8.8.8.8", "10.0.0.1"], ()) or "")
    assert refusal_of_addresses("hooks.example.org", ["8.8.8.8", "10.0.0.1"], ("hooks.example.org",)) is None
    assert refusal_of_addresses("hooks.example.org", ["8.8.8.8"], ()) is None


def test_a_scoped_address_is_not_public() -> None:
    assert refusal_of_addresses("hooks.example.org", ["fe80::1%eth0"], ()) is not None


def test_an_empty_pattern_names_nothing() -> None:
    assert not is_named("", ("", "*.", "."))
    assert not is_named("hooks.example.org", ("", "*.", ".", "*", " "))


# --- looking it up ----------------------------------------------------------------------------------


async def test_aiohttp_gets_what_was_checked_and_nothing_else() -> None:
    answers = iter([("8.8.8.8",), ("127.0.0.1",)])

    async def rebinding(host: str) -> tuple[str, ...]:
        return next(answers)

    resolver = CheckedResolver((), rebinding)
    (first,) = await resolver.resolve("hooks.example.org", 443)
    assert (first["host"], first["port"], first["family"]) == ("8.8.8.8", 443, socket.AF_INET)
    with pytest.raises(Disallowed, match="no public address"):
        await resolver.resolve("hooks.example.org", 443)


async def test_a_name_that_leads_to_this_machine_is_not_called() -> None:
    async def smuggled(host: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    with HttpReceiver() as receiver:
        url = f"https://hooks.example.org:{receiver.port}/"
        poster = Poster(url, allow=(), look_up=smuggled, clock=SystemClock())
        with pytest.raises(Disallowed, match=r"hooks\.example\.org is at 127\.0\.0\.1"):
            await poster.post(b"{}", {})
        await poster.close()
        assert receiver.requests == []


async def test_each_connection_is_looked_up_and_goes_to_what_was_found() -> None:
    asked: list[str] = []

    async def pinned(host: str) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",)

    with HttpReceiver() as receiver:
        url = f"http://hooks.example.org:{receiver.port}/"
        poster = Poster(url, allow=("hooks.example.org",), look_up=pinned, clock=SystemClock())
        assert [(await poster.post(b"{}", {})).status for _ in range(2)] == [204, 204]
        await poster.close()
        assert [request.headers["Host"] for request in receiver.requests] == [f"hooks.example.org:{receiver.port}"] * 2
    assert asked == ["hooks.example.org"] * 2


async def test_names_of_this_machine_are_found() -> None:
    assert "127.0.0.1" in await Names(Threads("test"))("localhost")


@pytest.mark.parametrize("host", ["a..b", "x" * 80 + ".example.org"])
async def test_a_name_that_is_not_found_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError):
        await Names(Threads("test"))(host)


async def test_what_was_found_last_serves_while_names_are_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(Threads("test"))
    found = await names("localhost")

    def out(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", out)
    assert await names("localhost") == found
    with pytest.raises(OSError):
        await names("elsewhere")


async def test_a_resolver_that_says_nothing_holds_up_nobody_who_was_found_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(Threads("test", at_most=1))
    found = await names("localhost")
    silence = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: silence.wait())
    assert await names("localhost") == found
    assert await names("localhost") == found, "and not when all threads hang"
    silence.set()
