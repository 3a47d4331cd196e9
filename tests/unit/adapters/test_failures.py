"""Every failure is one of three words, and none of them is success."""

import binascii

import ccxt
import pytest

from adapters.failures import Codes, HttpReply, OrderGone, failure, is_gone, retry_after_s, without_query
from risk_daemon.errors import ConfigError, MalformedReply, VenueError, VenueRejected, VenueUnavailable

URL = "https://api.example.com/v1/orders?signature=abc&apiKey=topsecret"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, VenueRejected),
        (401, VenueRejected),
        (403, VenueRejected),
        (404, VenueRejected),
        (451, VenueRejected),
        (408, VenueUnavailable),
        (418, VenueUnavailable),
        (429, VenueUnavailable),
        (500, VenueUnavailable),
        (502, VenueUnavailable),
        (503, VenueUnavailable),
        (520, VenueUnavailable),
    ],
)
@pytest.mark.parametrize("body", ["<html>Service Unavailable, invalid key</html>", ""])
def test_the_status_decides_whatever_class_ccxt_chose(status: int, expected: type[VenueError], body: str) -> None:
    for error in (ccxt.ExchangeNotAvailable("x"), ccxt.ExchangeError("x"), ccxt.AuthenticationError("x")):
        assert type(failure(error, HttpReply("GET", URL, status, {}, body))) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"error":["EAPI:Invalid key"]}', VenueRejected),
        ('{"error":["EAPI:Invalid signature"]}', VenueRejected),
        ('{"error":["EGeneral:Permission denied"]}', VenueRejected),
        ('{"error":["EAPI:Invalid nonce"]}', VenueUnavailable),
        ('{"error":["EAPI:Rate limit exceeded"]}', VenueUnavailable),
        ('{"error":["EService:Unavailable"]}', VenueUnavailable),
        ('{"error":["EService:Deadline elapsed"]}', VenueUnavailable),
        ('{"error":["EService:Market in cancel_only mode"]}', VenueUnavailable),
        ('{"result":"error","error":"authenticationError"}', VenueRejected),
        ('{"result":"error","error":"apiLimitExceeded"}', VenueUnavailable),
        ('{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}', VenueRejected),
        ('{"code":-1003,"msg":"Too many requests"}', VenueUnavailable),
        ('{"something":"never seen before"}', VenueUnavailable),
    ],
)
def test_the_venues_own_code_decides(text: str, expected: type[VenueError]) -> None:
    assert type(failure(ccxt.ExchangeError(text), HttpReply("POST", URL, 200, {}, text))) is expected


@pytest.mark.parametrize(
    "error", [TypeError("x"), KeyError("x"), AttributeError("x"), IndexError(), ValueError("x"), ccxt.BadResponse("x")]
)
def test_a_parser_that_choked_is_a_malformed_reply(error: Exception) -> None:
    assert type(failure(error)) is MalformedReply
    assert type(failure(error, HttpReply("GET", URL, 200, {}, "{}"))) is MalformedReply


@pytest.mark.parametrize(
    "error",
    [
        ccxt.RequestTimeout("x"),
        ccxt.ExchangeNotAvailable("x"),
        ccxt.ExchangeError("x"),
        TimeoutError(),
        ConnectionResetError(),
        RuntimeError("x"),
    ],
)
def test_what_is_not_known_is_unavailable(error: Exception) -> None:
    assert type(failure(error, HttpReply("GET", URL))) is VenueUnavailable


@pytest.mark.parametrize(
    "error",
    [ccxt.AuthenticationError("x"), ccxt.BadSymbol("x"), ccxt.NotSupported("x"), binascii.Error("Incorrect padding")],
)
def test_what_a_person_must_look_at_is_rejected(error: Exception) -> None:
    assert type(failure(error)) is VenueRejected


def test_our_own_errors_stay_as_they_are() -> None:
    error = MalformedReply("x")
    assert failure(error) is error


def test_retry_after_is_kept() -> None:
    found = failure(ccxt.RateLimitExceeded("x"), HttpReply("GET", URL, 429, {"Retry-After": "7"}))
    assert isinstance(found, VenueUnavailable)
    assert found.retry_after_s == 7.0
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}) is None


def test_no_secret_gets_into_the_text() -> None:
    error = ccxt.ExchangeNotAvailable(f"example GET {URL} 503 topsecret")
    for reply in (HttpReply("GET", URL, 503, {}, "key topsecret is odd"), HttpReply("GET", URL)):
        sentence = str(failure(error, reply, ["topsecret"]))
        assert "topsecret" not in sentence
        assert "signature" not in sentence
    assert without_query(URL) == "api.example.com/v1/orders"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ccxt.OrderNotFound("x"), True),
        (ccxt.CancelPending("x"), True),
        (ccxt.ExchangeError('{"error":["EOrder:Unknown order"]}'), True),
        (ccxt.ExchangeNotAvailable("x"), False),
        (ccxt.AuthenticationError("x"), False),
    ],
)
def test_an_order_that_is_not_there_is_recognised(error: Exception, expected: bool) -> None:
    assert is_gone(failure(error)) is expected


CODES = Codes(
    at="retCode",
    later=frozenset({"10006"}),
    refused=frozenset({"33004"}),
    gone=frozenset({"110001"}),
    ban_statuses=frozenset({403}),
)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"retCode": 10006, "retMsg": "invalid key"}', VenueUnavailable),
        (200, '{"retCode": "33004", "retMsg": "try again later"}', VenueRejected),
        (200, '{"retCode": 110001, "retMsg": "too late"}', OrderGone),
        (403, "access too frequent", VenueUnavailable),
        (200, '{"retCode": 99, "retMsg": "invalid key"}', VenueRejected),
        (200, '{"retCode": true}', VenueUnavailable),
        (200, '{"retCode": [110001]}', VenueUnavailable),
        (200, '{"retCode": 110001', VenueUnavailable),
    ],
)
def test_a_venues_own_codes_come_before_words_and_statuses(status: int, body: str, expected: type[VenueError]) -> None:
    error = failure(ccxt.ExchangeError(body), HttpReply("POST", URL, status, {}, body), codes=CODES)
    assert type(error) is expected
    assert is_gone(error) is (expected is OrderGone)


def test_a_code_means_one_thing() -> None:
    with pytest.raises(ConfigError):
        Codes(at="code", later=frozenset({"1"}), gone=frozenset({"1"}))


BY_ROWS = Codes(
    at="code",
    later=frozenset({"50011"}),
    refused=frozenset({"50120"}),
    gone=frozenset({"51400"}),
    row_codes=("data", "sCode"),
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"code": "1", "data": [{"sCode": "51400"}, {"sCode": "51400"}]}', OrderGone),
        ('{"code": "1", "data": [{"sCode": "51400"}, {"sCode": "51404"}]}', VenueRejected),
        ('{"code": "1", "data": [{"sCode": "51400"}, {"sCode": "50011"}]}', VenueUnavailable),
        ('{"code": "50120", "data": []}', VenueRejected),
        ('{"code": "1", "data": [{"other": "51400"}]}', VenueUnavailable),
        ('{"code": "1", "data": "51400"}', VenueUnavailable),
    ],
)
def test_rows_with_codes_of_their_own_speak_for_themselves(body: str, expected: type[VenueError]) -> None:
    """ccxt goes by the first of them: one order that is gone would make the whole batch look gone."""
    error = failure(ccxt.ExchangeError(body), HttpReply("POST", URL, 200, {}, body), codes=BY_ROWS)
    assert type(error) is expected
    first = failure(ccxt.OrderNotFound(body), HttpReply("POST", URL, 200, {}, body), codes=BY_ROWS)
    assert is_gone(first) is (expected is OrderGone) or "sCode" not in body
