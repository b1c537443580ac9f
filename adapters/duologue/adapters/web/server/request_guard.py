"""The guard of the server: a check of each request before any handler.

A web page can send requests to any address. With DNS rebinding (a name that its owner
points at 127.0.0.1) it can also read the responses. CORS stops neither the effect of a
POST nor a WebSocket. Therefore:

- ``Host`` must be a loopback name or the host of an allowed origin, else 421;
- POST, DELETE and WebSocket requests need an ``Origin`` that is this server's own or
  allowed, else 403; requests to the API that a browser marks as cross-site get 403;
- POST and DELETE need the header ``X-Duologue: 1``, which an HTML form cannot send;
- without authentication, only requests from this machine without the header of a proxy
  are served. A proxy that adds no header is not detected.

This is an ASGI middleware and imports no web framework.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..pages.refusals import Refused

__all__ = ["RequestGuard", "is_loopback_host", "reject"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_CHANGING = ("POST", "DELETE", "PUT", "PATCH")
#: Headers that proxies, load balancers and tunnels add; browsers send none of them.
_FORWARDED = frozenset(
    (
        *("forwarded", "via", "x-real-ip", "x-real-host", "x-client-ip"),
        *("true-client-ip", "client-ip", "x-cluster-client-ip", "fastly-client-ip"),
        *("x-proxyuser-ip", "x-remote-ip", "x-remote-addr", "x-host", "x-scheme"),
        *("x-amzn-trace-id", "x-cloud-trace-context", "x-request-start", "cdn-loop"),
    )
)
_FORWARDED_PREFIXES = (
    *("x-forwarded", "x-original-", "x-envoy-", "x-azure-", "x-arr-", "x-appengine-"),
    *("cf-", "cloudfront-", "fly-", "ngrok-", "tailscale-", "x-vercel-"),
)


class RequestGuard:
    """Wraps an ASGI application.

    ``origins`` are public origins of this server, and origins of other pages that may
    use it. ``connect_to`` are the origins that the page may connect to.
    """

    def __init__(
        self,
        app: App,
        *,
        origins: Iterable[str] = (),
        authenticated: bool = False,
        connect_to: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._hosts = {urlsplit(origin).netloc for origin in self._origins}
        self._authenticated = authenticated
        self._headers = _security_headers(tuple(connect_to))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        origin = headers.get("origin")
        shared = origin if origin is not None and self._is_allowed(origin) else None
        send = self._with_headers(send, shared)
        try:
            self._check(scope, headers)
        except Refused as error:
            if scope["type"] == "websocket":
                await receive()
            await reject(scope, send, error)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await _preflight(shared, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Message, headers: Mapping[str, str]) -> None:
        """Raise `Refused` if the request is not allowed."""
        host = headers.get("host", "").lower()
        if not (is_loopback_host(host) or host in self._hosts):
            message = f"this server is not reached as {host!r}; see --allow-origin"
            raise Refused(421, "wrong_host", message)
        if not self._authenticated and not _is_local(scope, headers):
            message = "without authentication only this machine is served"
            raise Refused(403, "not_local", message)
        changing = scope["type"] == "websocket" or scope["method"] in _CHANGING
        if changing and not self._is_own(headers.get("origin"), host):
            message = "this origin is not allowed; see --allow-origin"
            raise Refused(403, "wrong_origin", message)
        if not changing and self._is_cross_site_read(scope, headers, host):
            raise Refused(403, "wrong_origin", "another site may not read the API")
        if changing and scope["type"] == "http" and headers.get("x-duologue") != "1":
            raise Refused(403, "no_header", "the header X-Duologue: 1 is missing")

    def _is_own(self, origin: str | None, host: str) -> bool:
        if origin is None:
            return False
        own = is_loopback_host(host) and origin.lower() in _origins_of(host)
        return own or self._is_allowed(origin)

    def _is_cross_site_read(
        self, scope: Message, headers: Mapping[str, str], host: str
    ) -> bool:
        """Whether a page of another site reads from the API."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not path.startswith("/api") or scope["method"] == "OPTIONS":
            return False
        if "origin" in headers:
            return not self._is_own(headers["origin"], host)
        return headers.get("sec-fetch-site") in ("cross-site", "same-site")

    def _is_allowed(self, origin: str) -> bool:
        return origin.lower() in self._origins

    def _with_headers(self, send: Send, shared: str | None) -> Send:
        """A ``send`` that adds security headers, and CORS headers for ``shared``."""
        more = [*self._headers, *(() if shared is None else _open_to(shared))]

        async def with_headers(message: Message) -> None:
            if message["type"].endswith("response.start"):
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        return with_headers


def _headers(scope: Message) -> dict[str, str]:
    """The headers by lower-case name; the first value of a repeated header."""
    pairs = reversed(list(scope["headers"]))
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}


def _origins_of(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"


def is_loopback_host(host: str) -> bool:
    """Whether a ``Host`` header names ``localhost`` or a loopback address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_local(scope: Message, headers: Mapping[str, str]) -> bool:
    """Whether both ends of the connection are loopback, with no proxy in between."""
    if any(n in _FORWARDED or n.startswith(_FORWARDED_PREFIXES) for n in headers):
        return False
    ends = (scope.get("client"), scope.get("server"))
    return all(end is not None and is_loopback_host(_name(end[0])) for end in ends)


def _name(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _security_headers(connect_to: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "media-src 'self' blob: mediastream:",
            "connect-src " + " ".join(("'self'", *connect_to)),
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "permissions-policy": "microphone=(self), camera=(), geolocation=()",
        "cross-origin-opener-policy": "same-origin",
        "x-frame-options": "DENY",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _open_to(origin: str) -> list[tuple[bytes, bytes]]:
    """CORS headers: a page of this origin may read responses and send cookies."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


async def _preflight(shared: str | None, send: Send) -> None:
    """Answer a CORS preflight request."""
    headers = [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (
            b"access-control-allow-headers",
            b"X-Duologue, Content-Type, Authorization",
        ),
        (b"access-control-max-age", b"600"),
    ]
    status = 403 if shared is None else 204
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": headers if shared is not None else []})
    await send({"type": "http.response.body", "body": b""})


async def reject(scope: Message, send: Send, error: Refused) -> None:
    """Answer a request or a WebSocket handshake with an error."""
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    body = msgspec.json.encode(error.body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    start = {"type": f"{kind}.response.start", "status": error.status}
    await send({**start, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
