"""WebSocket connections. Each has its own session, or is a sideband of a call.

URLs and keys follow the API page "Realtime API with WebSocket". ``?model=`` starts a
conversation, ``?intent=transcription`` a transcription session; ``?call_id=`` joins a
call. A browser sends its key as the subprotocol ``openai-insecure-api-key.KEY``. If a
request is invalid, the service accepts the upgrade, sends an ``error`` event and closes
the connection. The module handles ASGI messages itself, without a web framework.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from duologue.core.events import Error
from duologue.core.models import REALTIME

from ..engine.outbox import frame_of
from ..faults.injector import NO_CLOSE_FRAME
from ..schema.refusal import Refusal
from .calls import Calls, Sideband, no_call
from .http_errors import BUSY, HttpError, ScriptedFailures, refusal_error
from .keys import WRONG_KEY, EphemeralKey, Keys, request_key
from .origin_guard import Message, Receive, Send, reject
from .session_factory import SessionFactory
from .session_runner import SessionRunner, new_id

__all__ = ["WAITING_LIMIT", "WebSocketApp"]

#: Maximum characters queued for a client that does not read. Above this limit the
#: connection is aborted. An empty queue accepts one event of any size.
WAITING_LIMIT = 8 * 1024 * 1024
#: Close codes for a wrong key and for any other invalid request. According to public
#: reports, the real service uses the same codes; it also accepts the upgrade first.
_WRONG_KEY_CLOSE, _WRONG_REQUEST_CLOSE = 3000, 4000
_BINARY = Refusal(
    "invalid_event",
    "Expected a text WebSocket message; binary frames are not supported.",
)
_PROTOCOL, _BETA_PROTOCOL = "realtime", "openai-beta.realtime-v1"


class WebSocketApp:
    """An ASGI application for ``/v1/realtime``."""

    def __init__(
        self,
        calls: Calls,
        keys: Keys,
        sessions: SessionFactory,
        failures: ScriptedFailures,
    ) -> None:
        self._calls = calls
        self._keys = keys
        self._sessions = sessions
        self._failures = failures

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        socket = _Socket(send, scope.get("extensions", {}).get("duologue.abort"))
        try:
            session = self._session(scope, socket)
        except HttpError as error:
            await reject(scope, send, error)
            return
        offered = scope["subprotocols"]
        # Never choose the subprotocol with the key: the response would reveal it.
        chosen = _PROTOCOL if _PROTOCOL in offered else None
        with contextlib.suppress(OSError):
            await send({"type": "websocket.accept", "subprotocol": chosen})
        writing = asyncio.create_task(socket.write())
        try:
            await session.start()
            await _read(receive, session, socket)
        finally:
            await session.close()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def _session(self, scope: Message, socket: _Socket) -> _Session:
        """The session for a request, or `_InvalidRequest`.

        Raises `HttpError` at full capacity, or if ``--fail`` requests a failure.
        """
        self._failures.check()
        try:
            return self._admit(scope, socket)
        except Refusal as refusal:
            if refusal.code == BUSY:
                raise refusal_error(refusal) from refusal
            return _InvalidRequest(socket, refusal)

    def _admit(self, scope: Message, socket: _Socket) -> _Session:
        """The session that the request describes. Raises `HttpError`, `Refusal`."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if _is_beta(headers, scope["subprotocols"]):
            raise Refusal(
                "beta_api_shape_disabled",
                "The Realtime Beta API is no longer supported. Please use /v1/realtime",
            )
        key = request_key(headers.get(b"authorization", ""), scope["subprotocols"])
        try:
            secret = self._keys.check(key, ephemeral=True)
        except HttpError as error:
            raise Refusal(error.code, error.message) from error
        given = parse_qs(scope["query_string"].decode("latin-1"))
        query = {name: values[0] for name, values in given.items()}
        if "call_id" in query:
            return self._join(query, socket)
        session = _requested(query, secret)
        runner = self._sessions.open(socket.put, session, socket.close, media=False)
        return _OwnSession(runner)

    def _join(self, query: dict[str, str], socket: _Socket) -> _Session:
        if "model" in query:
            raise Refusal(
                "invalid_parameter",
                "You must provide a model or a call_id, not both.",
                param="model",
            )
        sideband = self._calls.join(query["call_id"], socket.put, socket.close)
        if sideband is None:
            raise no_call(query["call_id"])
        return sideband


def _is_beta(headers: Mapping[bytes, str], subprotocols: Iterable[str]) -> bool:
    named = headers.get(b"openai-beta", "").replace(" ", "")
    return "realtime=v1" in named.split(",") or _BETA_PROTOCOL in subprotocols


def _requested(query: Mapping[str, str], secret: EphemeralKey | None) -> dict[str, Any]:
    """The configuration from the URL and an ephemeral key. Raises `Refusal`."""
    session: dict[str, Any] = {"type": "realtime"}
    session |= secret.session if secret else {}
    if query.get("intent") == "transcription":
        session["type"] = "transcription"
    if "model" in query:
        session["model"] = query["model"]
    elif "model" not in session and session["type"] != "transcription":
        raise Refusal(
            "missing_model",
            "You must provide a model parameter, for example "
            f"/v1/realtime?model={REALTIME}.",
        )
    return session


async def _read(receive: Receive, session: _Session, socket: _Socket) -> None:
    """Pass the client's events to the session until the connection ends."""
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is None:
            socket.put(_error(_BINARY))
        else:
            await session.receive(text)
        # A client that sends many events must not delay other clients.
        await asyncio.sleep(0)


def _error(refusal: Refusal) -> str:
    return frame_of(Error(event_id=new_id("event"), error=refusal.detail()))


class _OwnSession:
    """A session of this connection; it ends with the connection."""

    def __init__(self, runner: SessionRunner) -> None:
        self._runner = runner

    async def start(self) -> None:
        self._runner.start()

    async def receive(self, frame: str | bytes) -> None:
        await self._runner.accept(frame)

    async def close(self) -> None:
        await self._runner.close()


class _InvalidRequest:
    """Sends the error event for an invalid request, then closes the connection."""

    def __init__(self, socket: _Socket, refusal: Refusal) -> None:
        self._socket = socket
        self._refusal = refusal

    async def start(self) -> None:
        self._socket.put(_error(self._refusal))
        code = self._refusal.code
        self._socket.close(
            _WRONG_KEY_CLOSE if code in (None, WRONG_KEY) else _WRONG_REQUEST_CLOSE,
            ".".join(filter(None, ("invalid_request_error", code))),
        )

    async def receive(self, frame: str | bytes) -> None:
        pass

    async def close(self) -> None:
        pass


#: The events of a connection go to one of these.
_Session = _OwnSession | Sideband | _InvalidRequest


class _Socket:
    """Queues events for the client.

    ``abort`` ends the connection without a close handshake. It is called by a fault, or
    if the client does not read and so cannot complete the handshake.
    """

    def __init__(self, send: Send, abort: Callable[[], None] | None) -> None:
        self._send = send
        self._abort = abort
        self._waiting: deque[str] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._closing: dict[str, Any] | None = None

    def put(self, frame: str) -> None:
        """Queue an event. Never blocks."""
        if self._closing is not None:
            return
        if self._waiting and self._size + len(frame) > WAITING_LIMIT:
            self._waiting.clear()
            self.close(1008, "the client does not read")
            if self._abort is not None:
                self._abort()
            return
        self._waiting.append(frame)
        self._size += len(frame)
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Close the connection after the queued events. Idempotent.

        Code 1006 aborts it without a close frame.
        """
        if self._closing is None:
            self._closing = {"type": "websocket.close", "code": code, "reason": reason}
            self._wake.set()

    async def write(self) -> None:
        """Send queued events until the connection closes."""
        with contextlib.suppress(OSError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    frame = self._waiting[0]
                    await self._send({"type": "websocket.send", "text": frame})
                    if self._waiting:
                        self._size -= len(self._waiting.popleft())
                if self._closing is not None:
                    if self._closing["code"] == NO_CLOSE_FRAME and self._abort:
                        self._abort()
                    else:
                        await self._send(self._closing)
                    return
