"""Handlers of the HTTP routes for sessions, calls and commands."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ..calls.page_transport import KEY_LIFETIME
from ..pages.page_commands import command_of
from ..pages.refusals import Refused
from ..sessions.registry import Caller, Registry
from ..sessions.web_session import WebSession

__all__ = [
    "MAX_TITLE",
    "Api",
    "Authenticate",
    "caller_of",
    "json_reply",
    "read_body",
]

#: Returns the user's name, or None if the request is not authenticated.
Authenticate = Callable[[HTTPConnection], Awaitable[str | None] | str | None]

#: The most bytes in an SDP offer, and in other bodies.
_MAX_SDP = 64 * 1024
_MAX_BODY = 128 * 1024
#: Timeout of a request body, in seconds.
_BODY_TIMEOUT = 30.0
#: The most characters in a title.
MAX_TITLE = 200
#: The name of all users without authentication.
_ONLY_USER = "local"


async def caller_of(
    connection: HTTPConnection, authenticate: Authenticate | None
) -> Caller:
    """The user and address of a request. Raises `Refused` without authentication."""
    address = connection.client.host if connection.client is not None else "unknown"
    if authenticate is None:
        return Caller(_ONLY_USER, address)
    answer = authenticate(connection)
    name = await answer if inspect.isawaitable(answer) else answer
    if not isinstance(name, str) or not name:
        raise Refused(401, "not_authenticated", "authentication is required")
    return Caller(name, address, known=True)


def json_reply(value: Any, status: int = 200) -> Response:
    """A JSON response that is not cached."""
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


class _NewSession(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that creates a session."""

    config: dict[str, Any] = {}
    title: str | None = None


class _ForSession(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for an ephemeral key."""

    session: str


class Api:
    """The handlers. ``about`` is the response to ``GET /api/config``."""

    def __init__(
        self,
        registry: Registry,
        authenticate: Authenticate | None,
        about: dict[str, Any],
    ) -> None:
        self._registry = registry
        self._authenticate = authenticate
        self._about = about

    async def caller(self, request: Request) -> Caller:
        """The user and address of a request. Raises `Refused`."""
        return await caller_of(request, self._authenticate)

    async def session(self, request: Request) -> WebSession:
        """The session in the path, if it is the user's. Raises `Refused`."""
        caller = await self.caller(request)
        return self._registry.session(caller, request.path_params["id"])

    async def config(self, request: Request) -> Response:
        """The settings of the server."""
        await self.caller(request)
        return json_reply(self._about)

    async def sessions(self, request: Request) -> Response:
        """The sessions of the user."""
        sessions = self._registry.sessions_of(await self.caller(request))
        return json_reply({"sessions": [session.summary() for session in sessions]})

    async def create(self, request: Request) -> Response:
        """Create a session, without a call yet."""
        caller = await self.caller(request)
        body = await read_body(request, "application/json", _MAX_BODY)
        asked = _decoded(body or b"{}", _NewSession)
        title = asked.title[:MAX_TITLE] if asked.title else None
        session = self._registry.create(caller, session=asked.config, title=title)
        return json_reply(session.summary(), 201)

    async def remove(self, request: Request) -> Response:
        """Hang up and remove a session."""
        await self._registry.remove(await self.session(request))
        return Response(status_code=204)

    async def offer(self, request: Request) -> Response:
        """Open a call with an SDP offer; respond with the answer. Raises `Refused`."""
        caller = await self.caller(request)
        session = self._registry.session(caller, request.path_params["id"])
        body = await read_body(request, "application/sdp", _MAX_SDP)
        try:
            offer = body.decode()
        except UnicodeDecodeError:
            raise Refused(400, "invalid_offer", "the SDP is not UTF-8") from None
        if not offer.startswith("v=0"):
            raise Refused(400, "invalid_offer", "the body is not SDP")
        answer = await self._registry.call(caller, session, offer)
        return Response(
            answer,
            201,
            media_type="application/sdp",
            headers={"Cache-Control": "no-store"},
        )

    async def token(self, request: Request) -> Response:
        """Create an ephemeral key, with which the page calls the service itself."""
        caller = await self.caller(request)
        body = await read_body(request, "application/json", _MAX_BODY)
        session = self._registry.session(caller, _decoded(body, _ForSession).session)
        client = self._registry.client
        key, nonce = await self._registry.token(caller, session)
        return json_reply(
            {
                "value": key.reveal(),
                "expires_at": int(self._registry.clock.now()) + KEY_LIFETIME,
                "url": client.provider.calls_url(client.base_url),
                "nonce": nonce,
            }
        )

    async def command(self, request: Request) -> Response:
        """Execute a command."""
        session = await self.session(request)
        body = await read_body(request, "application/json", _MAX_BODY)
        await session.execute(command_of(_decoded(body, dict[str, Any])))
        return Response(status_code=202, headers={"Cache-Control": "no-store"})


async def read_body(request: Request, kind: str, limit: int) -> bytes:
    """The body, if it has this media type and at most ``limit`` bytes.

    Raises `Refused`.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != kind:
        raise Refused(415, "wrong_type", f"the content type must be {kind}")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    message = f"the body is larger than {limit} bytes"
                    raise Refused(413, "too_large", message)
    except TimeoutError:
        message = f"the body did not arrive within {_BODY_TIMEOUT:g} s"
        raise Refused(408, "too_slow", message) from None
    return bytes(body)


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(400, "invalid_body", f"the body is invalid: {error}") from None
