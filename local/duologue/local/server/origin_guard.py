"""What a page of a browser may not do: reach a service on this machine by stealth.

A page can send requests to ``localhost`` from anywhere, and by a name that its owner
points at 127.0.0.1 it can read the answers too (DNS rebinding). So:

- ``Host`` has to be a name that this service is meant to be reached by, else 421;
- an ``Origin`` that is neither the service's own nor allowed is refused with 403. A
  call may come from any page that sends a key with it, because a page has to ask
  before it may send one (CORS); a WebSocket, where no browser asks, has to show a key
  that its page must have been given.

Requests without an ``Origin`` come from no page. This is an ASGI middleware and knows
no library.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from .http_errors import HttpError
from .keys import Keys, presented

__all__ = ["Guard", "reject"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

#: Where any page may post an offer, with a key.
_CALLS = re.compile(r"/v1/realtime/calls(/[^/]+/hangup)?")


class Guard:
    """Stands before an ASGI application.

    ``hosts`` are names that the service is reached by beside ``localhost`` and
    addresses; ``loopback`` says that no other address is meant. ``origins`` are those
    of pages that may do anything (``http://localhost:3000``, ``null``).
    """

    def __init__(
        self,
        app: _App,
        keys: Keys,
        *,
        loopback: bool = True,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._keys = keys
        self._loopback = loopback
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        named = {urlsplit(origin).hostname for origin in self._origins}
        self._hosts = {"localhost", *(host.lower() for host in hosts), *named}

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        headers = {
            name: value.decode("latin-1") for name, value in reversed(scope["headers"])
        }
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        try:
            if not self.is_own_host(host):
                raise HttpError(
                    421, f"This service is not {host!r}; see --allow-origin."
                )
            if origin is not None and not self.is_own_origin(origin, host):
                self._check_foreign(scope, headers, origin)
        except HttpError as error:
            await reject(scope, send, error)
            return
        if origin is None or scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await _preflight(headers, origin, send)
        else:
            await self._app(scope, receive, _shared(send, origin))

    def is_own_host(self, host: str) -> bool:
        """Whether a ``Host`` header names this service."""
        name = _hostname(host)
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        # An address is not a name that somebody else could point here.
        return address.is_loopback or not self._loopback

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Whether a page of that origin may do anything."""
        origin = origin.lower()
        return origin in self._origins or origin in (
            f"http://{host.lower()}",
            f"https://{host.lower()}",
        )

    def _check_foreign(
        self, scope: _Message, headers: dict[bytes, str], origin: str
    ) -> None:
        """Refuse a page of elsewhere that has shown no key. Raises `HttpError`."""
        if scope["type"] == "websocket":
            key = presented(headers.get(b"authorization", ""), scope["subprotocols"])
            welcome = self._keys.vouches(key)
        else:
            key = presented(headers.get(b"authorization", ""))
            asks = scope["method"] == "OPTIONS"
            call = _CALLS.fullmatch(scope["path"]) is not None
            welcome = call and (asks or bool(key))
        if not welcome:
            raise HttpError(
                403, f"Pages of {origin!r} may not do this; see --allow-origin."
            )


def _hostname(host: str) -> str:
    """The name or address in a ``Host`` header; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _shared(send: _Send, origin: str) -> _Send:
    """``send`` that lets a page of ``origin`` read the answer."""

    async def shared(message: _Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_open_to(origin)]}
            message["headers"].append((b"access-control-expose-headers", b"Location"))
        await send(message)

    return shared


def _open_to(origin: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"vary", b"Origin"),
    ]


async def _preflight(headers: dict[bytes, str], origin: str, send: _Send) -> None:
    """Tell a browser that its page may send a key, and what else it asked for."""
    wanted = headers.get(b"access-control-request-headers", "authorization")
    allowed = [
        *_open_to(origin),
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", wanted.encode("latin-1")),
        (b"access-control-max-age", b"600"),
    ]
    if b"access-control-request-private-network" in headers:
        allowed.append((b"access-control-allow-private-network", b"true"))
    await send({"type": "http.response.start", "status": 204, "headers": allowed})
    await send({"type": "http.response.body", "body": b""})


async def reject(scope: _Message, send: _Send, error: HttpError) -> None:
    """Answer a request, or an upgrade that is not made, with an error."""
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(error.body)).encode()),
    ]
    await send(
        {
            "type": f"{kind}.response.start",
            "status": error.status,
            "headers": headers,
        }
    )
    await send({"type": f"{kind}.response.body", "body": error.body})
