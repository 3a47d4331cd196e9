"""Which requests are guarded: every spelling of a guarded path, and nothing else."""

from __future__ import annotations

import pytest

from risk_daemon.middleware.routes import Routes, seen_from


@pytest.mark.parametrize(
    "path",
    [
        "/orders",
        "/orders/",
        "//orders",
        "/orders//",
        "/./orders",
        "/x/../orders",
        "/%6frders",
        "/%256frders",
        "/orders%2f",
        "/orders\n",
        "/orders%0A",
        "/orders%20",
        "/Orders",
        "/ORDERS",
        "\\orders",
        "/%5corders",
        "/..//orders/.",
    ],
)
def test_every_spelling_of_a_path(path: str) -> None:
    assert Routes.of(("POST /orders",)).guards("POST", [path])


@pytest.mark.parametrize("method", ["POST", "post", "Post", " POST "])
def test_every_spelling_of_a_method(method: str) -> None:
    assert Routes.of(("post /orders",)).guards(method, ["/orders"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/orders"),
        ("DELETE", "/orders"),
        ("POST", "/"),
        ("POST", "/order"),
        ("POST", "/orders/7"),
        ("POST", "/orders/7/cancel"),
        ("POST", "/v1/orders"),
        ("POST", "/ordersx"),
        ("POST", "/orders/../positions"),
        ("POST", "/orders?x=/orders"),
    ],
)
def test_all_else_passes(method: str, path: str) -> None:
    assert not Routes.of("POST /orders").guards(method, [path])


@pytest.mark.parametrize(
    ("pattern", "path", "guarded"),
    [
        ("POST /api/*/orders", "/api/v1/orders", True),
        ("POST /api/*/orders", "/api/v1//orders/", True),
        ("POST /api/*/orders", "/api/orders", False),
        ("POST /api/*/orders", "/api/v1/x/orders", False),
        ("POST /api/v*/orders", "/api/v2/orders", True),
        ("POST /orders/{order_id}", "/orders/7", True),
        ("POST /orders/{order_id}", "/orders", False),
        ("POST /orders/{order_id}/amend", "/orders/7/amend", True),
        ("POST /**/orders", "/orders", True),
        ("POST /**/orders", "/a/b/c/orders", True),
        ("POST /**/orders", "/a/b/c/order", False),
        ("POST /orders/**", "/orders/7/amend", True),
        ("POST /", "/", True),
        ("POST /", "/orders", False),
        ("POST /Orders", "/orders", True),
    ],
)
def test_patterns(pattern: str, path: str, guarded: bool) -> None:
    assert Routes.of(pattern).guards("POST", [path]) is guarded


def test_any_method_and_several_patterns() -> None:
    routes = Routes.of(("POST /orders", "* /orders/{id}"))
    assert routes.guards("PATCH", ["/orders/7"])
    assert routes.guards("POST", ["/orders"])
    assert not routes.guards("PATCH", ["/orders"])


@pytest.mark.parametrize(
    ("root", "path"), [("/api", "/api/orders"), ("/api", "/orders"), ("/api/", "/api/orders"), ("", "/orders")]
)
def test_mounted_applications(root: str, path: str) -> None:
    """Servers give the path with the mount's prefix or without it."""
    assert Routes.of("POST /orders").guards("POST", seen_from(root, path))


def test_a_pattern_may_name_the_mount() -> None:
    routes = Routes.of("POST /api/orders")
    assert routes.guards("POST", seen_from("/api", "/api/orders"))
    assert routes.guards("POST", seen_from("/api", "/orders"))
    assert not routes.guards("POST", seen_from("", "/orders"))
    assert not Routes.of("POST /orders").guards("POST", seen_from("/api", "/apiary/orders"))


@pytest.mark.parametrize("pattern", ["", "/orders", "POST", "POST orders", "POST  ", "PO ST /orders", "POST /a b"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        Routes.of((pattern,))


def test_guarding_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        Routes.of(())
