"""One typed turn with a service: what ``say`` says, and what ``doctor`` listens to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs

from duologue.core import (
    Record,
    Session,
    SessionConfig,
    SessionStatus,
    Store,
    select_is_settled,
    select_problems,
    select_responses,
    select_transcripts,
)
from duologue.core.errors import DuologueError
from duologue.transports import (
    Client,
    ConnectionLost,
    LiveSession,
    LogError,
    Transport,
    TrimmedSink,
    record,
)
from duologue.transports.client.client import default_config

from .audio_sinks import HeardFile
from .service import Service

__all__ = ["Ask", "Carrier", "Turn", "hold_turn"]

Carrier = Literal["webrtc", "websocket"]

#: Seconds for what is still on its way through a jitter buffer.
_TAIL = 0.6


@attrs.frozen(kw_only=True)
class Ask:
    """What is said, how it is to be answered, and what is kept of it.

    None leaves it to the service; ``timeout`` in seconds is for the connection (at
    most 15 of them) and for the reply.
    """

    text: str
    carrier: Carrier = "websocket"
    modalities: tuple[str, ...] = ("audio",)
    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    output: Path | None = None
    record: Path | None = None
    timeout: float = 30.0


@attrs.frozen(kw_only=True)
class Turn:
    """What became of it.

    ``failure`` says in one line why there is no whole reply. ``reply_ms`` is the time
    from the text to the end of the reply: of its sound, where that is heard.
    """

    session: Session
    connect_ms: float | None = None
    reply_ms: float | None = None
    failure: str | None = None

    @property
    def reply(self) -> str:
        """The text of the reply, as far as it came."""
        lines = select_transcripts(self.session)
        return "\n".join(line.text for line in lines if line.role == "assistant")


async def hold_turn(
    ask: Ask, service: Service, *, told: Callable[[Record], None] | None = None
) -> Turn:
    """Say it, wait for the whole reply, and close the session.

    A turn that fails is a `Turn` with a ``failure``. ``told`` is called with each
    record. Raises a `DuologueError` for a file that cannot be written.
    """
    return await _OneTurn(ask, service, told).hold()


class _OneTurn:
    def __init__(
        self, ask: Ask, service: Service, told: Callable[[Record], None] | None
    ) -> None:
        self._ask = ask
        self._service = service
        self._store = Store()
        if told is not None:
            self._store.subscribe(lambda before, record, after: told(record))
        self._heard = HeardFile(ask.output) if ask.output is not None else None
        self._connect_ms: float | None = None
        self._reply_ms: float | None = None
        self._session: LiveSession | None = None

    async def hold(self) -> Turn:
        transport = self._transport()
        failure: str | None = None
        client = Client(
            credentials=self._service.credentials,
            base_url=self._service.base_url,
            store=self._store,
            # A turn that begins anew would be another one.
            backoff=None,
        )
        try:
            async with client:
                failure = await self._say(client, transport)
        except DuologueError as error:
            failure = str(error)
        finally:
            if self._heard is not None:
                self._heard.close()
        self._raise_file_trouble()
        [session] = self._store.state.sessions.values()
        return Turn(
            session=session,
            connect_ms=self._connect_ms,
            reply_ms=self._reply_ms,
            failure=failure,
        )

    def _transport(self) -> Transport:
        sink = None if self._heard is None else TrimmedSink(self._heard)
        transport: Transport
        if self._ask.carrier == "webrtc":
            from duologue.transports import webrtc

            transport = webrtc(sink=sink)
        else:
            from duologue.transports import websocket

            transport = websocket(sink=sink)
        if self._ask.record is not None:
            transport = record(transport, self._ask.record)
        return transport

    def _config(self) -> SessionConfig:
        given: dict[str, Any] = {
            "model": self._ask.model,
            "voice": self._ask.voice,
            "instructions": self._ask.instructions,
        }
        return attrs.evolve(
            default_config(),
            output_modalities=self._ask.modalities,
            # Nobody speaks.
            turn_detection=None,
            **{name: value for name, value in given.items() if value is not None},
        )

    async def _say(self, client: Client, transport: Transport) -> str | None:
        """Why it failed, if it did."""
        began = time.perf_counter()
        timeout = min(15.0, self._ask.timeout)
        session = await client.start_session(
            self._config(), transport=transport, timeout=timeout
        )
        self._session = session
        self._connect_ms = _ms_since(began)
        began = time.perf_counter()
        try:
            await session.send_text(self._ask.text)
            state = await session.until(_is_over, timeout=self._ask.timeout)
            self._reply_ms = _ms_since(began)
        except TimeoutError:
            return f"the reply was not over after {self._ask.timeout:g} s"
        except ConnectionLost as error:
            return _told(session.state) or str(error)
        if self._heard is not None and self._ask.carrier == "webrtc":
            await asyncio.sleep(_TAIL)
        return _why_not(state)

    def _raise_file_trouble(self) -> None:
        """A file that is not whole is an error, though the turn went well."""
        if self._heard is not None and self._heard.failure is not None:
            raise self._heard.failure
        failure = None if self._session is None else self._session.failure
        if isinstance(failure, LogError):
            raise DuologueError(f"{self._ask.record}: {failure}")


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def _is_over(session: Session) -> bool:
    status = session.connection.status
    if status in (SessionStatus.CLOSED, SessionStatus.FAILED):
        return True
    return select_is_settled(session) and bool(
        select_responses(session) or select_problems(session)
    )


def _why_not(session: Session) -> str | None:
    """Why there is no whole reply; None where there is one."""
    responses = select_responses(session)
    if responses and responses[-1].status == "completed":
        return None
    if told := _told(session):
        return told
    if not responses:
        return session.connection.reason or "there was no reply"
    reason = f": {responses[-1].reason}" if responses[-1].reason else ""
    return f"the response is {responses[-1].status}{reason}"


def _told(session: Session) -> str | None:
    """The first thing that went wrong and the last, which often is its end."""
    messages = list(dict.fromkeys(p.message for p in select_problems(session)))
    return "; ".join([*messages[:1], *messages[1:][-1:]]) or None
