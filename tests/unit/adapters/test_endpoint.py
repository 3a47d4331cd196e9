"""Only this machine may stand for an exchange, and every address must be sent to it."""

import pytest

from adapters.endpoint import rewrite, rewrite_all

ENDPOINT = "http://127.0.0.1:9001"


@pytest.mark.parametrize(
    "endpoint", [ENDPOINT, "http://127.0.0.1:9001/", "http://localhost:1", "http://[::1]:2", "http://127.8.8.8"]
)
def test_an_address_of_this_machine_is_taken(endpoint: str) -> None:
    assert rewrite("https://api.kraken.com", endpoint) == f"{endpoint.rstrip('/')}/api.kraken.com"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://10.0.0.1:9001",
        "http://example.com",
        "https://127.0.0.1:9001",
        "127.0.0.1:9001",
        "",
        "http://localhost.example.com",
        "http://127.0.0.1@example.com",
        "http://user@127.0.0.1",
        "http://127.0.0.1?x=1",
        "http://0.0.0.0:1",
    ],
)
def test_anything_else_is_refused_with_a_sentence(endpoint: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        rewrite("https://api.kraken.com", endpoint)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.kraken.com", "http://127.0.0.1:9001/api.kraken.com"),
        ("https://futures.kraken.com/derivatives/api/", "http://127.0.0.1:9001/futures.kraken.com/derivatives/api/"),
        ("wss://ws-auth.kraken.com/v2", "ws://127.0.0.1:9001/ws-auth.kraken.com/v2"),
        ("wss://ws-api.binance.com:443/ws-api/v3", "ws://127.0.0.1:9001/ws-api.binance.com:443/ws-api/v3"),
        ("https://api.{hostname}", "http://127.0.0.1:9001/api.{hostname}"),
        ("not an address", "not an address"),
    ],
)
def test_a_url_keeps_its_host_and_path(url: str, expected: str) -> None:
    assert rewrite(url, ENDPOINT) == expected


def test_nested_addresses_are_all_rewritten_and_the_rest_is_kept() -> None:
    urls = {
        "public": "https://a.com",
        "ws": {"private": "wss://b.com/v2", "n": 1},
        "list": ["https://c.com"],
        "none": None,
    }
    assert rewrite_all(urls, ENDPOINT) == {
        "public": f"{ENDPOINT}/a.com",
        "ws": {"private": "ws://127.0.0.1:9001/b.com/v2", "n": 1},
        "list": [f"{ENDPOINT}/c.com"],
        "none": None,
    }
