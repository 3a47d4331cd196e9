"""Addresses of Redis: read whole, or refused in a sentence that repeats no password."""

from __future__ import annotations

import pytest

from risk_daemon.state.lock.redis_address import RedisAddress


@pytest.mark.parametrize(
    ("text", "host", "port", "database", "user", "is_secure", "shown"),
    [
        ("redis://h", "h", 6379, 0, None, False, "redis://h:6379/0"),
        ("redis://h/", "h", 6379, 0, None, False, "redis://h:6379/0"),
        ("redis://127.0.0.1:1/15", "127.0.0.1", 1, 15, None, False, "redis://127.0.0.1:1/15"),
        ("rediss://me@H.example.org:6380/2", "h.example.org", 6380, 2, "me", True, "rediss://h.example.org:6380/2"),
        ("redis://a%40b@[::1]/3", "::1", 6379, 3, "a@b", False, "redis://[::1]:6379/3"),
    ],
)
def test_what_an_address_says(
    text: str, host: str, port: int, database: int, user: str | None, is_secure: bool, shown: str
) -> None:
    one = RedisAddress.of(text)
    assert (one.host, one.port, one.database, one.user, one.is_secure) == (host, port, database, user, is_secure)
    assert str(one) == shown


@pytest.mark.parametrize(
    "text",
    ["", "h", "h:6379", "http://h", "redis:", "redis://", "redis://:6379", "redis://h:0", "redis://h:65536",
     "redis://h:x", "redis://h/x", "redis://h/-1", "redis://h/1/2", "redis://h/²", "redis://h/123456",
     "redis://h?db=1", "redis://h/0#1", "redis://[::1", "unix:///s", "redis+sentinel://h"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"redis://127\.0\.0\.1:6379/0"):
        RedisAddress.of(text)


@pytest.mark.parametrize("text", ["redis://:hunter2@h", "redis://me:hunter2@h/0", "http://me:hunter2@h"])
def test_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="password") as refused:
        RedisAddress.of(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "is_in_the_clear"),
    [("redis://127.0.0.1", False), ("redis://localhost", False), ("redis://h", True), ("rediss://h", False)],
)
def test_what_others_could_read(text: str, is_in_the_clear: bool) -> None:
    assert RedisAddress.of(text).is_in_the_clear is is_in_the_clear
