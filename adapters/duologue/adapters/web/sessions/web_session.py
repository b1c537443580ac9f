"""One session of a user: its call, its history, and the pages that subscribe to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from duologue.core import (
    Record,
    Session,
    SessionConfig,
    State,
    encode,
    events,
    patch,
    select_cost,
    view,
)
from duologue.transports import Client, LiveSession, NotConnected
from duologue.transports.contract import Transport
from duologue.transports.errors import ConnectError, DuologueError
from duologue.transports.http.credentials import Secret

from ..calls.page_transport import KEY_LIFETIME, PageTransport
from ..calls.relay import Relay
from ..pages.page_commands import (
    Clear,
    Close,
    Command,
    Interrupt,
    Mute,
    Say,
    Update,
    Volume,
)
from ..pages.page_policy import changes_of, has_foreign_tools, with_changes
from ..pages.refusals import Refused, from_connect_error
from ..pages.subscriber import Subscriber, Topic, encoded
from .history import History

__all__ = ["SessionInfo", "WebSession"]

_log = logging.getLogger("duologue.web")
#: Timeout of connecting a call, in seconds.
_CONNECT_TIMEOUT = 20.0
#: Timeout of a command, in seconds.
_COMMAND_TIMEOUT = 5.0
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class SessionInfo:
    """The fixed properties of a session. ``kind`` is "live" or "import"."""

    id: str
    owner: str
    address: str
    title: str | None
    kind: str
    created_at: float


class WebSession:
    """A session of one user, with at most one call.

    ``now`` returns the time of records. ``on_change`` is called when `summary` changes.
    """

    def __init__(
        self,
        info: SessionInfo,
        history: History,
        *,
        client: Client,
        now: Callable[[], float],
        config: SessionConfig,
        models: tuple[str, ...],
        transcription_models: tuple[str, ...],
        tools: tuple[Callable[..., Any], ...],
        on_change: Callable[[WebSession], None],
    ) -> None:
        self.info = info
        self.history = history
        self.topic = Topic(
            info.id, history.last, view=self._whole_view, on_leave=self._page_left
        )
        self.live: LiveSession | None = None
        #: Why the server ended the call, or why an imported log is incomplete.
        self.end_reason: str | None = None
        #: When the call began, by the event loop's clock, and its minutes so far.
        self.called_at: float | None = None
        self.minutes = 0
        #: When the ephemeral key of the page expires, by the event loop's clock.
        self.key_expires_at = 0.0
        self._page_transport: PageTransport | None = None
        self._tools = tools
        self._client = client
        self._now = now
        self._config = config
        self._models = models
        self._on_change = on_change
        self._transcription_models = transcription_models
        #: The task that connects the call. It returns the error, or None on success.
        self._connecting: asyncio.Task[DuologueError | None] | None = None
        #: The changes of updates that a page sent while the call was connecting.
        self._pending_changes: dict[str, Any] = {}
        self._closed = False
        self._hanging_up: asyncio.Task[None] | None = None
        self._unsubscribe = client.store.subscribe(self._on_record, session=info.id)

    @property
    def id(self) -> str:
        """The id of the session, as in its records."""
        return self.info.id

    @property
    def state(self) -> Session:
        """The current state of the session."""
        return self.history.session

    @property
    def has_call(self) -> bool:
        """Whether the session's call is connecting or connected."""
        if self._connecting is not None and not self._connecting.done():
            return True
        return self.live is not None and not self._is_over

    @property
    def _is_over(self) -> bool:
        return self.state.connection.status.is_over

    @property
    def _is_before_call(self) -> bool:
        """Whether the call has not begun or is still connecting."""
        over = self._closed or self._is_over
        return self.info.kind == "live" and self.live is None and not over

    def summary(self) -> dict[str, Any]:
        """The entry of this session in the list of sessions."""
        state, history = self.state, self.history
        closed = self._closed and not self._is_over
        cost = select_cost(state)
        return {
            "id": self.id,
            "title": self.info.title,
            "kind": self.info.kind,
            "status": "closed" if closed else state.connection.status.value,
            "reason": self.end_reason or state.connection.reason,
            "created_at": self.info.created_at,
            "speaking": _speaker(state),
            "muted": state.activity.muted,
            "first": history.first,
            "last": history.last,
            "dropped": history.dropped,
            "cost": None
            if cost is None
            else {"model": cost.model, "usd": cost.usd, "partial": cost.is_partial},
        }

    # Subscribers.

    def _whole_view(self) -> str:
        seq, document = self.history.last, view(self.state)
        message = {"type": "view", "session": self.id, "seq": seq, "view": document}
        return encoded(message)

    def _page_left(self, page: Subscriber) -> None:
        if self._page_transport is not None:
            self._page_transport.page_left(page)

    def _on_record(self, before: State, record: Record, after: State) -> None:
        """Add a record to the history, and publish its patch."""
        state = after.sessions.get(self.id)
        if state is None:
            return
        earlier = before.sessions.get(self.id) or Session(self.id)
        self.history.add(record, after)
        self.topic.publish(record.seq, patch(earlier, state, record))
        if _summary_key(earlier) != _summary_key(state):
            self._on_change(self)
        if self._hanging_up is None and has_foreign_tools(record, state):
            self.end_reason = "a page gave the call tools, which is not allowed"
            self._hanging_up = asyncio.create_task(self.close())

    # The call.

    async def call(self, offer: str, *, user: str | None) -> str:
        """Open the call with the SDP offer of a page; return the service's SDP answer.

        Raises `Refused` if the session already had a call, or if the service refuses.
        """
        relay = Relay(offer, user=user)
        connecting = self._connect(relay, timeout=_CONNECT_TIMEOUT)
        return await _unless_failed(relay.answer, connecting)

    async def token(self, *, user: str | None) -> tuple[Secret, str]:
        """Create an ephemeral key for the page's own call; return it and a nonce.

        The page must send the nonce with the reports of its call.

        Raises `Refused` as `call` does.
        """

        def record_sent(frame: str) -> None:
            self._client.store.feed(
                self.id, frame, at=self._now(), dir="out", src=PageTransport.src
            )

        transport = PageTransport(self.id, record_sent, user=user)
        connecting = self._connect(transport, timeout=KEY_LIFETIME + _CONNECT_TIMEOUT)
        self._page_transport = transport
        key = await _unless_failed(transport.key, connecting)
        self.called_at = asyncio.get_running_loop().time()
        self.key_expires_at = self.called_at + KEY_LIFETIME
        return key, transport.nonce

    def report(
        self, page: Subscriber, nonce: str, reports: list[tuple[str, str]]
    ) -> None:
        """Process the reports of a page about its own call. Raises `Refused`."""
        if self._page_transport is None:
            raise Refused(409, "no_call", "the page did not place a call here")
        self._page_transport.receive(page, nonce, reports)

    def _connect(
        self, transport: Transport, *, timeout: float
    ) -> asyncio.Task[DuologueError | None]:
        """Start a task that starts the session over a transport. Raises `Refused`."""
        if not self._is_before_call or self._connecting is not None:
            message = "this session already had its call; create another session"
            raise Refused(409, "has_call", message)
        self.called_at = asyncio.get_running_loop().time()
        if not self.topic.subscribers:
            self.topic.left_at = self.called_at
        work = self._start(transport, timeout)
        self._connecting = asyncio.create_task(work, name=f"duologue web {self.id}")
        return self._connecting

    async def _start(
        self, transport: Transport, timeout: float
    ) -> DuologueError | None:
        """Connect. Record an error in the state and return it."""
        try:
            live = await self._client.start_session(
                self._config,
                id=self.id,
                transport=transport,
                tools=self._tools,
                timeout=timeout,
            )
            self.live = live
            if self._pending_changes:
                await live.update(**self._pending_changes)
        except DuologueError as error:
            self._record_failure(str(error))
            return error
        except Exception as error:
            # A bug in this package or in the application (two tools with one name).
            _log.exception("session %s was not started", self.id)
            self._record_failure(f"unexpected: {type(error).__name__}")
            return Refused(500, "failed", "the server failed")
        return None

    def _record_failure(self, reason: str) -> None:
        """Record that the call failed, unless the client has recorded it."""
        if self.live is None and not self._is_over:
            fact = encode(events.Disconnected(reason=reason, expected=False))
            store = self._client.store
            store.feed(self.id, fact, at=self._now(), dir="local")

    async def execute(self, command: Command) -> None:
        """Execute a command of a page. Raises `Refused`."""
        if isinstance(command, Close):
            await self.close()
        elif self._is_before_call and isinstance(command, Update):
            changes = self._changes(command)
            self._config = with_changes(self._config, changes)
            if self._connecting is not None:
                self._pending_changes.update(changes)
        elif self.live is None or self._is_over:
            raise Refused(409, "no_call", "this session has no call")
        else:
            await self._send(self.live, command)

    def _changes(self, command: Update) -> dict[str, Any]:
        """The changes of an update. The model is fixed once the call connects."""
        return changes_of(
            command.session,
            models=self._models if self._connecting is None else (),
            transcription_models=self._transcription_models,
        )

    async def _send(self, live: LiveSession, command: Command) -> None:
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT):
                match command:
                    case Say():
                        await live.send_text(command.text)
                    case Interrupt():
                        await live.interrupt()
                    case Update():
                        changes = self._changes(command)
                        with_changes(self._config, changes)
                        await live.update(**changes)
                    case Mute():
                        live.mute() if command.muted else live.unmute()
                    case Volume():
                        live.set_volume(command.level)
                    case Clear():
                        live.clear_transcripts()
        except NotConnected:
            raise Refused(409, "no_call", "this session has no call") from None
        except TimeoutError:
            message = f"the command was not sent within {_COMMAND_TIMEOUT:g} s"
            raise Refused(504, "service_timeout", message) from None
        except (TypeError, ValueError) as error:
            raise Refused(422, "not_accepted", str(error)) from None

    async def close(self) -> None:
        """Hang up. The session stays readable. Idempotent."""
        self._closed = True
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self.live is not None:
            await self.live.close()
        self._on_change(self)

    async def remove(self) -> None:
        """Hang up, remove the session from the store, and end all subscriptions."""
        await self.close()
        self._unsubscribe()
        if self.id in self._client.sessions:
            await self._client.close_session(self.id)
        for subscriber in tuple(self.topic.subscribers):
            subscriber.unwatch(self.id)
            subscriber.reply({"type": "gone", "session": self.id})


async def _unless_failed(
    result: asyncio.Future[_T], connecting: asyncio.Task[DuologueError | None]
) -> _T:
    """Wait for a result of the transport, or until connecting fails.

    If connecting fails, raises `Refused`.
    """
    either: set[asyncio.Future[Any]] = {result, connecting}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if result.done():
        return result.result()
    error = None if connecting.cancelled() else connecting.result()
    match error or ConnectError("the call was given up"):
        case NotConnected():
            raise Refused(503, "closing", "the server is shutting down")
        case ConnectError() as failure:
            raise from_connect_error(failure)
        case other:
            raise other


def _speaker(state: Session) -> str | None:
    """The role that is speaking; the user if both are."""
    if state.activity.speaking_item is not None:
        return "user"
    return "assistant" if state.activity.playing is not None else None


def _summary_key(state: Session) -> tuple[object, ...]:
    """The values of a summary that change, without the counts of records."""
    connection, activity = state.connection, state.activity
    status = (connection.status, connection.reason)
    return (*status, activity.muted, _speaker(state), state.usage.tokens)
