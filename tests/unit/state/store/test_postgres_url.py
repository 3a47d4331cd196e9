"""Addresses of PostgreSQL: what they mean, and what is refused without repeating it."""

from __future__ import annotations

import re

import pytest

from risk_daemon.state.store.postgres_url import parse

LOCAL = "postgresql://guard@127.0.0.1/risk"
TLS = "sslmode=verify-full&sslrootcert=/etc/ssl/risk.pem"


def test_what_it_leaves_open_has_a_value() -> None:
    url = parse(LOCAL)
    assert (url.user, url.hosts, url.database) == ("guard", (("127.0.0.1", 5432),), "risk")
    assert dict(url.options) == {"sslmode": "prefer", "target_session_attrs": "any"}
    assert url.where == "127.0.0.1:5432/risk"


def test_of_several_hosts_one_that_takes_writes_is_wanted_where_nothing_else_is_said() -> None:
    several = "postgresql://guard@127.0.0.1,127.0.0.2/risk"
    assert dict(parse(several).options)["target_session_attrs"] == "read-write"
    assert dict(parse(f"{several}?target_session_attrs=any").options)["target_session_attrs"] == "any"


def test_several_hosts_a_socket_and_quoted_names() -> None:
    url = parse(f"postgres://me%40here@db1:6432,[::1]/my%2Ddb?{TLS}&target_session_attrs=read-write")
    assert (url.user, url.database) == ("me@here", "my-db")
    assert url.hosts == (("db1", 6432), ("::1", 5432))
    assert "sslmode=verify-full" in url.dsn
    assert "read-write" in url.dsn
    assert parse("postgresql://guard@/risk?host=/run/postgresql").hosts == (("/run/postgresql", 5432),)


REFUSED = {
    "a password": ("postgresql://guard:hunter2@127.0.0.1/risk", "secrets do not belong in this file"),
    "an empty password": ("postgresql://guard:@127.0.0.1/risk", "secrets do not belong in this file"),
    "a password in the query": (f"{LOCAL}?password=hunter2", "the option 'password' is not known"),
    "a setting of the server": (f"{LOCAL}?synchronous_commit=off", "the option 'synchronous_commit' is not known"),
    "an option twice": (f"{LOCAL}?sslmode=require&sslmode=disable", "is empty or there twice"),
    "an option without a value": (f"{LOCAL}?sslmode=", "is empty or there twice"),
    "half a query": (f"{LOCAL}?sslmode", "it is not a URL"),
    "another mode": (f"{LOCAL}?sslmode=maybe", "sslmode is not one of disable"),
    "another session": (f"{LOCAL}?target_session_attrs=hunter2", "target_session_attrs is not one of any"),
    "nobody to believe": (f"{LOCAL}?sslmode=verify-full", "needs sslrootcert=/path"),
    "a path beside what": (f"{LOCAL}?sslmode=verify-ca&sslrootcert=risk.pem", "sslrootcert is not an absolute path"),
    "no user": ("postgresql://127.0.0.1/risk", "it must name a user and a database"),
    "no database": ("postgresql://guard@127.0.0.1", "it must name a user and a database"),
    "no host": ("postgresql://guard@/risk", "it must name one host"),
    "a host twice": (f"{LOCAL}?host=/run/postgresql", "it must name one host"),
    "port 0": ("postgresql://guard@127.0.0.1:0/risk", "its host or port is none"),
    "no port": ("postgresql://guard@127.0.0.1:x/risk", "its host or port is none"),
    "an empty host": ("postgresql://guard@127.0.0.1,/risk", "its host or port is none"),
    "another scheme": ("mysql://guard@127.0.0.1/risk", "it is no address of PostgreSQL"),
    "a fragment": (f"{LOCAL}#hunter2", "it is no address of PostgreSQL"),
    "a space": (f"{LOCAL} hunter2", "it has spaces in it"),
    "unprotected": ("postgresql://guard@db.example.org/risk", "say how the way there is protected"),
    "one of them unprotected": ("postgresql://guard@127.0.0.1,db/risk", "say how the way there is protected"),
}


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_sentence_for_what_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        parse(text)
    assert "hunter2" not in str(refused.value)


def test_a_network_of_ones_own_is_said() -> None:
    assert dict(parse("postgresql://guard@db/risk?sslmode=disable").options)["sslmode"] == "disable"
