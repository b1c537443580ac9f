"""One typed turn with a service, for ``say`` and ``doctor``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from duologue.core import (
    Record,
    Session,
    Store,
    select_problems,
    select_transcripts,
)
from duologue.core.errors import DuologueError
from duologue.transports import (
    Client,
    ConnectionLost,
    LiveSession,
    LogError,
    ReplyError,
    ReplyTimeout,
    Transport,
    TrimmedSink,
)

from .audio_sinks import OutputWav
from .options import Carrier
from .service import Service
from .session_setup import configure, make_transport

__all__ = ["TurnRequest", "TurnResult", "run_turn"]

#: Seconds to wait after the reply for audio that is still in a jitter buffer.
_TAIL = 0.6


@attrs.frozen(kw_only=True)
class TurnRequest:
    """The text of the user, and the options of the session; None is the default.

    ``timeout`` in seconds applies to the connection (at most 15 s) and to the reply.
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
class TurnResult:
    """The session after the turn, and its times in ms.

    ``failure`` is the reason in one line if the reply is not complete. ``reply_ms``
    is the time from the text to the end of the reply; if its audio is played, to the
    end of the audio.
    """

    session: Session
    connect_ms: float | None = None
    reply_ms: float | None = None
    failure: str | None = None

    @property
    def reply(self) -> str:
        """The text of the reply, which may be incomplete."""
        lines = select_transcripts(self.session)
        return "\n".join(line.text for line in lines if line.role == "assistant")


async def run_turn(
    request: TurnRequest,
    service: Service,
    *,
    on_record: Callable[[Record], None] | None = None,
) -> TurnResult:
    """Send the text, wait for the complete reply, and close the session.

    A failed turn is returned as a `TurnResult` with a ``failure``. ``on_record`` is
    called with each record. Raises a `DuologueError` for a file that cannot be written.
    """
    return await _Turn(request, service, on_record).run()


class _Turn:
    def __init__(
        self,
        request: TurnRequest,
        service: Service,
        on_record: Callable[[Record], None] | None,
    ) -> None:
        self._request = request
        self._service = service
        self._store = Store()
        if on_record is not None:
            self._store.subscribe(lambda before, record, after: on_record(record))
        self._output = None if request.output is None else OutputWav(request.output)
        self._connect_ms: float | None = None
        self._reply_ms: float | None = None
        self._session: LiveSession | None = None

    async def run(self) -> TurnResult:
        sink = None if self._output is None else TrimmedSink(self._output)
        request = self._request
        transport = make_transport(request.carrier, None, sink, request.record)
        failure: str | None = None
        client = Client(
            credentials=self._service.credentials,
            base_url=self._service.base_url,
            provider=self._service.provider,
            store=self._store,
            # No reconnect: the turn would not continue on a new connection.
            backoff=None,
        )
        try:
            async with client:
                failure = await self._talk(client, transport)
        except DuologueError as error:
            failure = str(error)
        finally:
            if self._output is not None:
                self._output.close()
        self._raise_file_error()
        [session] = self._store.state.sessions.values()
        return TurnResult(
            session=session,
            connect_ms=self._connect_ms,
            reply_ms=self._reply_ms,
            failure=failure,
        )

    async def _talk(self, client: Client, transport: Transport) -> str | None:
        """Run the turn; return why it failed, or None."""
        request = self._request
        config = configure(
            model=request.model,
            voice=request.voice,
            instructions=request.instructions,
            output_modalities=request.modalities,
        )
        began = time.perf_counter()
        session = await client.start_session(
            # The user types, so turn detection is off.
            attrs.evolve(config, turn_detection=None),
            transport=transport,
            timeout=min(15.0, request.timeout),
        )
        self._session = session
        self._connect_ms = _ms_since(began)
        began = time.perf_counter()
        failure: str | None = None
        try:
            await session.ask(request.text, timeout=request.timeout)
        except ReplyTimeout as error:
            return str(error)
        except ReplyError as error:
            failure = _problems(session.state) or str(error)
        except ConnectionLost as error:
            return _problems(session.state) or str(error)
        self._reply_ms = _ms_since(began)
        if self._output is not None and request.carrier == "webrtc":
            await asyncio.sleep(_TAIL)
        return failure

    def _raise_file_error(self) -> None:
        """Raise if a file is incomplete, even if the turn itself succeeded."""
        if self._output is not None and self._output.failure is not None:
            raise self._output.failure
        failure = None if self._session is None else self._session.failure
        if isinstance(failure, LogError):
            raise DuologueError(f"{self._request.record}: {failure}")


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def _problems(session: Session) -> str | None:
    """The first problem and the last one, which is often why the session ended."""
    messages = list(dict.fromkeys(p.message for p in select_problems(session)))
    return "; ".join([*messages[:1], *messages[1:][-1:]]) or None
