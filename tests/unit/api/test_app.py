"""The two listeners: who may use the socket, what people ask there, and what is left when it stops."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import CapturingLogger

from risk_daemon.api import dispatch, doors
from risk_daemon.api.app import ControlServer
from risk_daemon.auth.operators import operator_name
from risk_daemon.errors import (
    CircuitBreakerError,
    ConfigError,
    InvariantError,
    RecordError,
    StateError,
    UsageError,
)
from risk_daemon.model.events import (
    DisableRequested,
    EnableRequested,
    HaltRequested,
    Input,
    ReleaseRequested,
    ResetRequested,
)
from tests.api_world import ApiWorld, FakeControl, serving

ME = operator_name(os.geteuid())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(tmp_path) as world:
        yield world
    assert not world.path.exists()


async def test_state_is_what_the_daemon_says(world: ApiWorld) -> None:
    reply = await world.socket("GET", "/api/v1/state")

    counts = dict.fromkeys(("silent", "crowded", "full", "failed_login"), 0)
    assert (reply.status, reply.type) == (200, "application/json")
    assert reply.body == {**world.control.document, "turned_away": counts}


@pytest.mark.parametrize("way", ["socket", "tcp"])
async def test_health_needs_no_token(world: ApiWorld, way: str) -> None:
    ask = getattr(world, way)
    assert [(await ask("GET", path)).status for path in ("/livez", "/readyz")] == [200, 200]

    world.control.good = False
    assert [(await ask("GET", path)).status for path in ("/livez", "/readyz")] == [503, 503]


@pytest.mark.parametrize(
    ("target", "body", "event"),
    [
        ("halt", {"reason": " fat finger "}, HaltRequested("fat finger", ME)),
        ("halt", {"reason": "x", "operator": "night desk"}, HaltRequested("x", f"{ME}, night desk")),
        ("halt", {"reason": "x", "venue": "kraken"}, HaltRequested("x", ME, venue="kraken")),
        ("halt", {"reason": "x", "bot": "grid-1"}, HaltRequested("x", ME, bot="grid-1")),
        ("halt", {"reason": "x", "venue": None, "bot": None}, HaltRequested("x", ME)),
        ("release", {"reason": "x", "bot": "gone"}, ReleaseRequested("x", ME, bot="gone")),
        ("release", {"reason": "x", "venue": "kraken"}, ReleaseRequested("x", ME, venue="kraken")),
        ("release", {"reason": "x", "everything": True}, ReleaseRequested("x", ME)),
        ("reset", {"reason": "found it", "rebaseline": "keep"}, ResetRequested("found it", ME, "keep")),
        ("reset", {"reason": "found it", "rebaseline": "current"}, ResetRequested("found it", ME, "current")),
        ("disable", {"for_s": 90, "reason": "upgrade"}, DisableRequested(90.0, "upgrade", ME)),
        ("disable", {"for_s": 1.5, "reason": "upgrade"}, DisableRequested(1.5, "upgrade", ME)),
        ("enable", {}, EnableRequested(ME)),
        ("enable", None, EnableRequested(ME)),
    ],
)
async def test_a_command_becomes_an_event(world: ApiWorld, target: str, body: object, event: Input) -> None:
    reply = await world.socket("POST", f"/api/v1/{target}", body)

    assert (reply.status, reply.body) == (200, world.control.answer)
    assert world.control.events == [event]


@pytest.mark.parametrize(
    ("target", "body", "sentence"),
    [
        ("halt", {}, "reason is missing"),
        ("halt", {"reason": ""}, "reason"),
        ("halt", {"reason": "  "}, "reason must not be blank"),
        ("halt", {"reason": 5}, "reason: input should be a valid string"),
        ("halt", {"reason": "x" * 1001}, "reason"),
        ("halt", {"reason": "a\nb"}, "reason"),
        ("halt", {"reason": "\ud800"}, "reason"),
        ("halt", {"reason": "x", "venu": "kraken"}, "venu is not known"),
        ("halt", {"reason": "x", "venue": "krakn"}, "the venue krakn is not known"),
        ("halt", {"reason": "x", "bot": "grid-2"}, "the bot grid-2 is not known"),
        ("halt", {"reason": "x", "bot": "alice"}, "the bot alice is not known"),
        ("halt", {"reason": "x", "bot": "grid-1", "venue": "kraken"}, "halt one after the other"),
        ("release", {"reason": "x"}, "must name a venue, a bot or everything"),
        ("release", {"reason": "x", "bot": "a", "venue": "kraken"}, "must name a venue, a bot or everything"),
        ("release", {"reason": "x", "bot": "a", "everything": True}, "must name a venue, a bot or everything"),
        ("release", {"reason": "x", "everything": False}, "must name a venue, a bot or everything"),
        ("reset", {"reason": "x"}, "rebaseline is missing"),
        ("reset", {"reason": "x", "rebaseline": "forget"}, "rebaseline: input should be 'keep' or 'current'"),
        ("reset", {"reason": "x", "rebaseline": ["keep"]}, "rebaseline"),
        ("cancel-all", {"market": "margin"}, "market: input should be 'spot' or 'perp'"),
        ("cancel-all", {"venu": "kraken"}, "venu is not known"),
        ("cancel-all", {"venue": "krakn"}, "the venue krakn is not known"),
        ("disable", {"reason": "x"}, "for_s is missing"),
        ("disable", {"reason": "x", "for_s": 0}, "for_s must be 1 to 2592000 seconds"),
        ("disable", {"reason": "x", "for_s": -5}, "for_s must be"),
        ("disable", {"reason": "x", "for_s": 1e9}, "for_s must be"),
        ("disable", {"reason": "x", "for_s": True}, "for_s must be a number of seconds"),
        ("disable", {"reason": "x", "for_s": "90"}, "for_s must be a number of seconds"),
        ("enable", {"x": 1}, "x is not known"),
    ],
)
async def test_a_wrong_body_is_refused(world: ApiWorld, target: str, body: object, sentence: str) -> None:
    reply = await world.socket("POST", f"/api/v1/{target}", body)

    assert (reply.status, reply.type, reply.body["status"]) == (422, "application/problem+json", 422)
    assert sentence in reply.body["detail"]
    assert world.control.nothing_happened()


async def test_a_halt_is_taken_when_the_bots_can_t_be_looked_up(world: ApiWorld, tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{")

    assert (await world.socket("POST", "/api/v1/halt", {"reason": "x", "bot": "grid-2"})).status == 200


@pytest.mark.parametrize("accepted", [False, None, 1, "yes"])
async def test_what_the_engine_did_not_accept_is_a_conflict(world: ApiWorld, accepted: object) -> None:
    world.control.answer = {"accepted": accepted, "reason": "a venue is unproven", "state": "TRIGGERED"}
    reply = await world.socket("POST", "/api/v1/reset", {"reason": "x", "rebaseline": "keep"})

    assert (reply.status, reply.body["detail"], reply.body["state"]) == (409, "a venue is unproven", "TRIGGERED")
    assert reply.body["accepted"] is False


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (CircuitBreakerError("no"), 409, "no"),
        (UsageError("no"), 400, "no"),
        (RecordError("disk full"), 503, "disk full"),
        (InvariantError("secret"), 500, "a bug of the daemon: what was asked is not confirmed"),
        (RuntimeError("secret"), 500, "a bug of the daemon: what was asked is not confirmed"),
    ],
)
async def test_a_failure_is_an_answer_of_the_same_form(
    world: ApiWorld, error: Exception, status: int, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CapturingLogger()
    monkeypatch.setattr(dispatch, "_LOG", told)
    world.control.error = error
    reply = await world.socket("POST", "/api/v1/halt", {"reason": "x"})

    assert (reply.status, reply.type, reply.body["detail"]) == (status, "application/problem+json", detail)
    assert [call.args for call in told.calls] == ([("request_failed",)] if status == 500 else [])


async def test_nan_is_not_passed_on(world: ApiWorld) -> None:
    world.control.document["loss_ratio"] = float("nan")

    assert (await world.socket("GET", "/api/v1/state")).status == 500


async def test_amounts_are_passed_on_as_texts(world: ApiWorld) -> None:
    world.control.document["equity"] = Decimal("9400.10")

    assert (await world.socket("GET", "/api/v1/state")).body["equity"] == "9400.1"


async def test_a_sweep_passes_its_selection_on(world: ApiWorld) -> None:
    await world.socket("POST", "/api/v1/cancel-all", {"venue": "kraken", "market": "perp"})
    await world.socket("POST", "/api/v1/cancel-all", {"venue": None, "market": None})
    await world.socket("POST", "/api/v1/cancel-all")

    assert world.control.sweeps == [("kraken", "perp", ME), (None, None, ME), (None, None, ME)]


async def test_a_closing_passes_its_selection_on(world: ApiWorld) -> None:
    await world.socket("POST", "/api/v1/close-positions", {"venue": "kraken"})
    await world.socket("POST", "/api/v1/close-positions")

    assert world.control.closings == [("kraken", ME), (None, ME)]


async def test_a_gift_is_passed_on_exactly_and_a_refusal_is_a_conflict(world: ApiWorld) -> None:
    given = await world.socket("POST", "/api/v1/fund/transfer", {"to": "b", "amount": "500.10"})
    assert (given.status, given.body["accepted"]) == (200, True)
    assert world.control.gifts[0][:2] == ("b", Decimal("500.10"))
    assert world.control.gifts[0][2].startswith("uid:")
    world.control.refusal = "a can spare less than 400"
    refused = await world.socket("POST", "/api/v1/fund/transfer", {"to": "b", "amount": 500})
    assert (refused.status, refused.body["detail"], refused.body["accepted"]) == (409, world.control.refusal, False)


@pytest.mark.parametrize("amount", [0, -1, "-1", "NaN", "1e99", None, True, "a lot"])
async def test_a_gift_of_no_amount_is_refused(amount: object, world: ApiWorld) -> None:
    assert (await world.socket("POST", "/api/v1/fund/transfer", {"to": "b", "amount": amount})).status == 422
    assert world.control.gifts == []


async def test_a_reload_is_of_this_machine_and_says_what_changed(world: ApiWorld) -> None:
    taken = await world.socket("POST", "/api/v1/reload")
    assert (taken.status, taken.body["taken"], taken.body["changes"][0]["old"]) == (200, True, "10 %")
    body = {"dry_run": True, "acts": True, "digest": "ab"}
    assert (await world.socket("POST", "/api/v1/reload", body)).status == 200
    assert [reload[1:] for reload in world.control.reloads] == [(False, False, None), (True, True, "ab")]
    assert world.control.reloads[0][0].startswith("uid:")
    world.control.reloaded = {"accepted": False, "taken": False, "reason": "config.toml: no."}
    refused = await world.socket("POST", "/api/v1/reload", {})
    assert (refused.status, refused.body["detail"], refused.body["accepted"]) == (409, "config.toml: no.", False)
    assert (await world.socket("POST", "/api/v1/reload", {"file": "/tmp/x"})).status == 422


async def test_a_reset_that_only_looks_does_nothing_and_says_why_not(world: ApiWorld) -> None:
    body = {"reason": "x", "rebaseline": "keep", "dry_run": True}
    allowed = await world.socket("POST", "/api/v1/reset", body)
    assert (allowed.status, allowed.body["reason"]) == (200, "nothing was done yet: it would be accepted now")
    world.control.refusal = "it would trigger again at once: drawdown would trip"
    refused = await world.socket("POST", "/api/v1/reset", body)
    assert (refused.status, refused.body["detail"]) == (409, world.control.refusal)
    assert world.control.nothing_happened()
    [one, other] = world.control.looked_at
    assert one == other
    assert isinstance(one, ResetRequested)
    assert (one.reason, one.rebaseline) == ("x", "keep")


async def test_an_operator_acknowledges_by_name(world: ApiWorld) -> None:
    by_token = await world.tcp("POST", "/api/v1/alerts/ack", {"trip_id": "t7"}, token=world.operator)
    assert (by_token.status, by_token.body) == (200, {"accepted": True, "trip_id": "t7"})
    assert (await world.tcp("POST", "/api/v1/alerts/ack", token=world.operator)).body["trip_id"] == "t1"
    assert world.control.acknowledged == [("t7", "token:alice"), (None, "token:alice")]

    world.control.trip_id = None
    assert (await world.tcp("POST", "/api/v1/alerts/ack", token=world.operator)).status == 409


async def test_alerts_are_read_and_tested(world: ApiWorld) -> None:
    assert (await world.tcp("GET", "/api/v1/alerts", token=world.operator)).body["channels"] == {"oncall": {}}
    tested = await world.socket("POST", "/api/v1/alerts/test", {"channel": "oncall"})
    assert tested.body["channels"]["oncall"]["delivered"] is True
    assert (await world.socket("POST", "/api/v1/alerts/test", {"channel": "nobody"})).status == 422
    assert (await world.socket("POST", "/api/v1/alerts/test")).status == 200
    assert world.control.tested == ["oncall", None]


# --- who asks --------------------------------------------------------------------------------------


async def test_another_user_is_refused(world: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "peer_uid", lambda request: 4_242)

    for method, target in (("POST", "/api/v1/halt"), ("GET", "/api/v1/state"), ("GET", "/livez")):
        reply = await world.socket(method, target, {"reason": "x"})
        assert (reply.status, reply.type) == (403, "application/problem+json")
    assert world.control.nothing_happened()


async def test_root_is_not_refused(world: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "peer_uid", lambda request: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 4_242)

    assert (await world.socket("POST", "/api/v1/halt", {"reason": "x"})).status == 200


async def test_a_caller_that_is_gone_is_nobody(world: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.BaseRequest, "transport", None)

    assert (await world.socket("POST", "/api/v1/halt", {"reason": "x"})).status == 403
    assert world.control.nothing_happened()


async def test_a_token_on_the_socket_counts_for_what_it_says(world: ApiWorld) -> None:
    bot = {"Authorization": f"Bearer {world.bot}"}

    assert (await world.socket("GET", "/api/v1/state", headers=bot)).status == 403
    assert (await world.socket("POST", "/api/v1/reset", {}, headers=bot)).status == 403
    report = {"kind": "rejected"}
    assert (await world.socket("POST", "/api/v1/orders/report", report, headers=bot)).status == 202
    assert (await world.socket("GET", "/api/v1/state", headers={"Authorization": "Bearer x"})).status == 401
    assert world.control.reports[0].bot == "grid-1"


def test_the_user_is_known_under_uvloop_too(tmp_path: Path) -> None:
    async def scenario() -> list[Input]:
        async with serving(tmp_path) as world:
            assert (await world.socket("POST", "/api/v1/halt", {"reason": "x"})).status == 200
            assert (await world.check()).status == 200
            return world.control.events

    assert uvloop.run(scenario()) == [HaltRequested("x", ME)]
    assert not (tmp_path / "s.sock").exists()


# --- the socket ------------------------------------------------------------------------------------


async def test_the_socket_is_its_owner_s_only(world: ApiWorld) -> None:
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o600


async def test_a_dead_daemon_s_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s.sock"))

    async with serving(tmp_path) as world:
        assert (await world.socket("GET", "/livez")).status == 200


async def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    server = ControlServer(FakeControl(), path, listen="127.0.0.1:0")

    with pytest.raises(StateError, match="this is not a socket"):
        await server.start()
    assert path.read_text() == "precious"
    assert server.addresses == ()


async def test_a_successor_s_socket_is_left(tmp_path: Path) -> None:
    first, second = (ControlServer(FakeControl(), tmp_path / "s.sock") for _ in range(2))
    await first.start()
    await second.start()
    await first.stop()
    assert (tmp_path / "s.sock").exists()

    await second.stop()
    assert not (tmp_path / "s.sock").exists()


async def test_a_directory_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    server = ControlServer(FakeControl(), tmp_path / "none" / "s.sock")

    with pytest.raises(StateError, match="the socket can't be made"):
        await server.start()
    await server.stop()


# --- TCP -------------------------------------------------------------------------------------------


async def test_the_addresses_are_those_really_bound(world: ApiWorld) -> None:
    tcp, unix = world.server.addresses

    assert tcp.startswith("127.0.0.1:")
    assert world.port > 0
    assert unix == f"unix:{world.path}"


async def test_without_an_address_there_is_only_the_socket(tmp_path: Path) -> None:
    server = ControlServer(FakeControl(), tmp_path / "s.sock")
    await server.start()

    assert server.addresses == (f"unix:{tmp_path / 's.sock'}",)
    await server.stop()


@pytest.mark.parametrize(("listen", "bound"), [("localhost:0", "127.0.0.1:"), ("[::1]:0", "[::1]:")])
async def test_other_names_of_this_machine(tmp_path: Path, listen: str, bound: str) -> None:
    server = ControlServer(FakeControl(), tmp_path / "s.sock", listen=listen)
    await server.start()

    assert server.addresses[0].startswith(bound)
    await server.stop()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0"])
async def test_from_elsewhere_only_over_tls(tmp_path: Path, listen: str) -> None:
    server = ControlServer(FakeControl(), tmp_path / "s.sock", listen=listen)

    with pytest.raises(ConfigError, match="needs TLS"):
        await server.start()
    assert not (tmp_path / "s.sock").exists()


async def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = ControlServer(FakeControl(), tmp_path / "s.sock", listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StateError, match=r"can't be listened on: .*in use"):
            await server.start()

    assert not (tmp_path / "s.sock").exists()


def tls_context(directory: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own for this machine, which is left in `directory`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + dt.timedelta(days=36_500))
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(pem))
    plain = serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


async def test_over_tls_other_names_are_fine(tmp_path: Path) -> None:
    world = ApiWorld(tmp_path)
    server = ControlServer(
        world.control, world.path, listen="127.0.0.1:0", tokens=world.tokens, tls=tls_context(tmp_path)
    )
    await server.start()
    port = int(server.addresses[0].rpartition(":")[2])
    client = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    client.check_hostname = False
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    writer.write(
        f"GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {world.operator}\r\n"
        "Connection: close\r\n\r\n".encode()
    )

    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await server.stop()
