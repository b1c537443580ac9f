"""Requests from browser pages, as ASGI messages to the guard alone."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from duologue.local.server.keys import Keys
from duologue.local.server.origin_guard import OriginGuard

CALLS = "/v1/realtime/calls"
SECRETS = "/v1/realtime/client_secrets"
EVIL = "http://evil.example"


class App:
    """Answers 200 and counts requests."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        location = [(b"location", b"/v1/realtime/calls/rtc_1")]
        await send({"type": "http.response.start", "status": 200, "headers": location})


def guard(**options: Any) -> OriginGuard:
    options = {"app": App(), "keys": Keys("sk-right", lambda: 0.0), **options}
    return OriginGuard(**options)


async def ask(
    guard: OriginGuard,
    *,
    method: str = "POST",
    path: str = CALLS,
    kind: str = "http",
    host: str = "127.0.0.1:80",
    subprotocols: tuple[str, ...] = (),
    **headers: str,
) -> tuple[int, dict[str, str]]:
    """The status and the headers of the response."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {}

    given = {"host": host, **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "subprotocols": list(subprotocols),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in given.items()],
    }
    await guard(scope, receive, send)
    start = sent[0]
    if start["status"] >= 400:
        assert set(json.loads(sent[1]["body"])["error"]) == {
            *("message", "type", "param", "code")
        }
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "[::1]:8080"]
)
async def test_this_machine_is_served(host: str) -> None:
    status, _ = await ask(guard(), host=host)
    assert status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "192.168.1.7:80", "", ":80"),
        *("[::1", "127.0.0.1.evil.example", "localhost@evil.example", "a b"),
    ],
)
async def test_a_foreign_host_is_refused(host: str) -> None:
    """Another host name may point here by DNS rebinding."""
    guarded = guard()
    for kind in ("http", "websocket"):
        status, _ = await ask(guarded, host=host, kind=kind)
        assert status == 421


async def test_a_service_for_others_is_reached_by_address_and_by_its_names() -> None:
    guarded = guard(loopback=False, hosts=["Box"], origins=["https://app.example:8443"])
    names = ["192.168.1.7:80", "box:8080", "app.example", "evil.example"]
    answers = [(await ask(guarded, host=host))[0] for host in names]
    assert answers == [200, 200, 200, 421]


async def test_a_page_elsewhere_may_call_with_a_key_and_read_the_location() -> None:
    status, headers = await ask(guard(), origin=EVIL, authorization="Bearer x")
    assert status == 200
    assert headers["access-control-allow-origin"] == EVIL
    assert headers["access-control-expose-headers"] == "Location"
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost:3000", ""])
async def test_a_page_elsewhere_does_nothing_without_a_key(origin: str) -> None:
    app = App()
    guarded = guard(app=app)
    assert (await ask(guarded, origin=origin))[0] == 403
    assert (await ask(guarded, origin=origin, authorization="Bearer "))[0] == 403
    assert (await ask(guarded, origin=origin, kind="websocket"))[0] == 403
    assert app.asked == 0


async def test_a_page_elsewhere_makes_no_keys() -> None:
    status, _ = await ask(
        guard(), path=SECRETS, origin=EVIL, authorization="Bearer sk-right"
    )
    assert status == 403


@pytest.mark.parametrize(
    ("keys", "key", "status"),
    [
        (Keys("sk-right", lambda: 0.0), "sk-right", 200),
        (Keys("sk-right", lambda: 0.0), "sk-wrong", 403),
        # A service without a key accepts any, so no key is secret.
        (Keys(None, lambda: 0.0), "sk-any", 403),
    ],
)
async def test_a_socket_of_a_page_elsewhere_shows_a_key_that_means_something(
    keys: Keys, key: str, status: int
) -> None:
    protocols = ("realtime", f"openai-insecure-api-key.{key}")
    answer, _ = await ask(
        guard(keys=keys), kind="websocket", origin=EVIL, subprotocols=protocols
    )
    assert answer == status


async def test_a_socket_of_a_page_elsewhere_may_show_an_ephemeral_key() -> None:
    keys = Keys(None, lambda: 0.0)
    protocols = ("realtime", f"openai-insecure-api-key.{keys.mint({}, 10).value}")
    answer, _ = await ask(
        guard(keys=keys), kind="websocket", origin=EVIL, subprotocols=protocols
    )
    assert answer == 200


async def test_pages_that_are_allowed_may_do_anything() -> None:
    guarded = guard(origins=["http://Localhost:3000/", "null"])
    for origin in ("http://localhost:3000", "null"):
        assert (await ask(guarded, origin=origin, path=SECRETS))[0] == 200
        assert (await ask(guarded, origin=origin, kind="websocket"))[0] == 200
    assert (await ask(guarded, origin="http://localhost:3001", path=SECRETS))[0] == 403


async def test_a_page_of_the_service_itself_is_no_stranger() -> None:
    answer = await ask(guard(), origin="http://127.0.0.1:80", kind="websocket")
    assert answer[0] == 200


async def test_a_browser_that_asks_first_is_told_what_it_may_send() -> None:
    status, headers = await ask(
        guard(),
        method="OPTIONS",
        origin=EVIL,
        access_control_request_method="POST",
        access_control_request_headers="authorization, content-type, x-other",
        access_control_request_private_network="true",
    )
    assert status == 204
    assert headers["access-control-allow-origin"] == EVIL
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-allow-headers"] == (
        "authorization, content-type, x-other"
    )
    assert headers["access-control-allow-private-network"] == "true"


async def test_a_browser_that_asks_for_what_is_not_allowed_is_refused() -> None:
    status, headers = await ask(guard(), method="OPTIONS", path=SECRETS, origin=EVIL)
    assert status == 403
    assert "access-control-allow-origin" not in headers
