"""The HTTP half: what each route does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ..calls.page_transport import LIFETIME
from ..pages.page_commands import command_of
from ..pages.refusals import Refused
from ..sessions.registry import Caller, Hub
from ..sessions.web_session import Room

__all__ = ["Api", "Authenticate", "caller_of", "json_reply", "read_body"]

#: The application's own: the name of who asks, None for nobody.
Authenticate = Callable[[HTTPConnection], Awaitable[str | None] | str | None]

#: Bytes of an offer, and of other bodies.
_SDP_LIMIT = 64 * 1024
_BODY_LIMIT = 128 * 1024
#: Seconds that a body may take to come.
_PATIENCE = 30.0
#: Characters of a title.
_TITLE = 200
#: Who everybody is where nobody is asked.
_ANYBODY = "local"


async def caller_of(
    connection: HTTPConnection, authenticate: Authenticate | None
) -> Caller:
    """Who asks. Raises `Refused` for nobody."""
    address = connection.client.host if connection.client is not None else "unknown"
    if authenticate is None:
        return Caller(_ANYBODY, address)
    answer = authenticate(connection)
    name = await answer if inspect.isawaitable(answer) else answer
    if not isinstance(name, str) or not name:
        raise Refused(401, "not_authenticated", "say who you are first")
    return Caller(name, address, known=True)


def json_reply(value: Any, status: int = 200) -> Response:
    """JSON values as an answer that nobody keeps."""
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body that makes a session."""

    config: dict[str, Any] = {}
    title: str | None = None


class _ForSession(msgspec.Struct, forbid_unknown_fields=True):
    """The body that asks for a key."""

    session: str


class Api:
    """The handlers. ``about`` is what a page is told of the server."""

    def __init__(
        self, hub: Hub, authenticate: Authenticate | None, about: dict[str, Any]
    ) -> None:
        self._hub = hub
        self._authenticate = authenticate
        self._about = about

    async def caller(self, request: Request) -> Caller:
        """Who asks. Raises `Refused`."""
        return await caller_of(request, self._authenticate)

    async def room(self, request: Request) -> Room:
        """The session that is asked about, if it is the user's. Raises `Refused`."""
        return self._hub.room(await self.caller(request), request.path_params["id"])

    async def config(self, request: Request) -> Response:
        """How the server is set."""
        await self.caller(request)
        return json_reply(self._about)

    async def sessions(self, request: Request) -> Response:
        """The user's sessions."""
        rooms = self._hub.rooms_of(await self.caller(request))
        return json_reply({"sessions": [room.summary() for room in rooms]})

    async def create(self, request: Request) -> Response:
        """A new session, which an offer connects."""
        caller = await self.caller(request)
        body = await read_body(request, "application/json", _BODY_LIMIT)
        wanted = _decoded(body or b"{}", _Wanted)
        title = wanted.title[:_TITLE] if wanted.title else None
        room = self._hub.create(caller, session=wanted.config, title=title)
        return json_reply(room.summary(), 201)

    async def remove(self, request: Request) -> Response:
        """Hang up, close, forget."""
        room = await self.room(request)
        await self._hub.remove(room)
        return Response(status_code=204)

    async def offer(self, request: Request) -> Response:
        """Place the call: the service's answer. Raises `Refused`."""
        caller = await self.caller(request)
        room = self._hub.room(caller, request.path_params["id"])
        body = await read_body(request, "application/sdp", _SDP_LIMIT)
        try:
            offer = body.decode()
        except UnicodeDecodeError:
            raise Refused(400, "invalid_offer", "the SDP is not UTF-8") from None
        if not offer.startswith("v=0"):
            raise Refused(400, "invalid_offer", "this is no SDP")
        answer = await self._hub.call(caller, room, offer)
        return Response(
            answer,
            201,
            media_type="application/sdp",
            headers={"Cache-Control": "no-store"},
        )

    async def token(self, request: Request) -> Response:
        """An ephemeral key, with which the page calls the service by itself."""
        caller = await self.caller(request)
        body = await read_body(request, "application/json", _BODY_LIMIT)
        room = self._hub.room(caller, _decoded(body, _ForSession).session)
        key, nonce = await self._hub.token(caller, room)
        return json_reply(
            {
                "value": key.reveal(),
                "expires_at": int(self._hub.clock.now()) + LIFETIME,
                "url": f"{self._hub.client.base_url}/realtime/calls",
                "nonce": nonce,
            }
        )

    async def command(self, request: Request) -> Response:
        """Tell a session to do something."""
        room = await self.room(request)
        body = await read_body(request, "application/json", _BODY_LIMIT)
        await room.do(command_of(_decoded(body, dict[str, Any])))
        return Response(status_code=202, headers={"Cache-Control": "no-store"})


async def read_body(request: Request, kind: str, limit: int) -> bytes:
    """The body of a request, of this type and no longer. Raises `Refused`."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != kind:
        said = f"the body has to be {kind}"
        raise Refused(415, "wrong_type", said)
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    said = f"the body is larger than {limit} bytes"
                    raise Refused(413, "too_large", said)
    except TimeoutError:
        said = f"the body took more than {_PATIENCE:g} s"
        raise Refused(408, "too_slow", said) from None
    return bytes(body)


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(400, "invalid_body", f"not what is expected: {error}") from None
