"""Protects a service on this machine from web pages of other origins.

Any page can send requests to ``localhost``; if its owner points a host name at
127.0.0.1, it can also read the responses (DNS rebinding). So:

- ``Host`` must be a name of this service, else 421;
- an ``Origin`` that is neither the service's own nor allowed gets 403, with two
  exceptions. ``/v1/realtime/calls`` accepts any page that sends a key, because the
  browser sends a CORS preflight first. A WebSocket has no preflight, so it needs a
  secret key.

Requests without an ``Origin`` do not come from a page. This is an ASGI middleware
without dependencies.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from .http_errors import HttpError
from .keys import Keys, request_key

__all__ = ["Message", "OriginGuard", "Receive", "Send", "reject"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_App = Callable[[Message, Receive, Send], Awaitable[None]]

#: The paths that accept any page that sends a key.
_CALLS = re.compile(r"/v1/realtime/calls(/[^/]+/hangup)?")


class OriginGuard:
    """An ASGI middleware that checks ``Host`` and ``Origin``.

    ``hosts``: names of the service besides ``localhost`` and IP addresses.
    ``loopback``: accept only loopback addresses. ``origins``: page origins with full
    access (``http://localhost:3000``, ``null``).
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

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
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
        # DNS rebinding needs a name; an IP address is safe.
        return address.is_loopback or not self._loopback

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Whether pages of this origin have full access."""
        origin = origin.lower()
        return origin in self._origins or origin in (
            f"http://{host.lower()}",
            f"https://{host.lower()}",
        )

    def _check_foreign(
        self, scope: Message, headers: dict[bytes, str], origin: str
    ) -> None:
        """Refuse a page of another origin without a key. Raises `HttpError`."""
        if scope["type"] == "websocket":
            key = request_key(headers.get(b"authorization", ""), scope["subprotocols"])
            allowed = self._keys.is_secret(key)
        else:
            key = request_key(headers.get(b"authorization", ""))
            preflight = scope["method"] == "OPTIONS"
            call = _CALLS.fullmatch(scope["path"]) is not None
            allowed = call and (preflight or bool(key))
        if not allowed:
            raise HttpError(
                403, f"Pages of {origin!r} may not do this; see --allow-origin."
            )


def _hostname(host: str) -> str:
    """The name or address in a ``Host`` header; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _shared(send: Send, origin: str) -> Send:
    """A ``send`` that lets pages of ``origin`` read the response (CORS)."""

    async def shared(message: Message) -> None:
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


async def _preflight(headers: dict[bytes, str], origin: str, send: Send) -> None:
    """Answer a CORS preflight: the page may send a key and the requested headers."""
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


async def reject(scope: Message, send: Send, error: HttpError) -> None:
    """Answer a request, or refuse a WebSocket upgrade, with an error."""
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
