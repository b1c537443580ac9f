"""One session with its history, its call and those who watch it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from duologue.core import (
    Record,
    Session,
    SessionConfig,
    SessionStatus,
    State,
    encode,
    events,
    patch,
    select_cost,
    view,
)
from duologue.transports import Client, LiveSession, NotConnected
from duologue.transports.contract import Transport
from duologue.transports.errors import DuologueError
from duologue.transports.http.credentials import Secret

from ..calls.call_outcome import outcome
from ..calls.page_transport import LIFETIME, Browser
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
from ..pages.page_policy import changed, changes_of
from ..pages.refusals import Refused
from ..pages.subscriber import Watcher, encoded
from .history import History
from .tool_policy import has_foreign_tools

__all__ = ["Room"]

_log = logging.getLogger("duologue.web")
#: Characters of patches that are kept for a page that comes back.
_KEPT = 256 * 1024
#: Seconds that a call has to stand.
_CONNECTING = 20.0
#: Seconds that the service has to take a command.
_PATIENCE = 5.0
_OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)


@attrs.frozen(kw_only=True)
class About:
    """What does not change of a session: whose it is, and what it is called."""

    id: str
    owner: str
    address: str
    title: str | None
    kind: str
    created_at: float


class Room:
    """A session of one user.

    ``now`` gives the times of records. ``changed`` is called when something of its
    `summary` did.
    """

    def __init__(
        self,
        about: About,
        history: History,
        *,
        client: Client,
        now: Callable[[], float],
        config: SessionConfig,
        models: tuple[str, ...],
        transcribers: tuple[str, ...],
        tools: tuple[Callable[..., Any], ...],
        changed: Callable[[Room], None],
    ) -> None:
        self.about = about
        self.history = history
        self.live: LiveSession | None = None
        #: Why we ended it, or why the log of an imported one ends too early.
        self.ends: str | None = None
        #: When its call began, by the loop's clock, and the minutes counted so far.
        self.called_at: float | None = None
        self.minutes = 0
        #: Until when a page can call with the key that it was given.
        self.key_until = 0.0
        self._browser: Browser | None = None
        self._tools = tools
        self._client = client
        self._now = now
        self._config = config
        self._models = models
        self._changed = changed
        self._transcribers = transcribers
        #: Gives what the call failed of.
        self._calling: asyncio.Task[DuologueError | None] | None = None
        #: Changes that were wished for while the call was connecting.
        self._late: dict[str, Any] = {}
        self._closed = False
        self._policing: asyncio.Task[None] | None = None
        self._watchers: dict[Watcher, None] = {}
        self._patches: deque[tuple[int, str]] = deque()
        self._patches_size = 0
        #: The last record whose patch is not kept any more.
        self._patches_after = 0
        #: When the last page left, by the loop's clock; None while one is there.
        self.left_at: float | None = None
        self._unsubscribe = client.store.subscribe(self._follow, session=about.id)

    @property
    def id(self) -> str:
        """Our id of the session."""
        return self.about.id

    @property
    def session(self) -> Session:
        """The session as it is now."""
        return self.history.session

    @property
    def has_call(self) -> bool:
        """Whether it is connected to the service, or about to be."""
        if self._calling is not None and not self._calling.done():
            return True
        return self.live is not None and not self._is_over

    @property
    def _is_over(self) -> bool:
        return self.session.connection.status in _OVER

    @property
    def _is_ahead(self) -> bool:
        """Whether its call is still to come, or just connecting."""
        gone = self._closed or self._is_over
        return self.about.kind == "live" and self.live is None and not gone

    def summary(self) -> dict[str, Any]:
        """What a list of sessions says of this one."""
        session, history = self.session, self.history
        closed = self._closed and not self._is_over
        cost = select_cost(session)
        return {
            "id": self.id,
            "title": self.about.title,
            "kind": self.about.kind,
            "status": "closed" if closed else session.connection.status.value,
            "reason": self.ends or session.connection.reason,
            "created_at": self.about.created_at,
            "speaking": _speaking(session),
            "muted": session.activity.muted,
            "first": history.first,
            "last": history.last,
            "dropped": history.dropped,
            "cost": None if cost is None else {"model": cost.model, "usd": cost.usd},
        }

    # Who watches.

    def enter(self, watcher: Watcher) -> None:
        """A page follows this session from here on."""
        self._watchers[watcher] = None
        self.left_at = None

    def leave(self, watcher: Watcher) -> None:
        """A page follows it no more; it was last heard of some time ago."""
        self._watchers.pop(watcher, None)
        if self._browser is not None:
            self._browser.left(watcher)
        if not self._watchers:
            self.left_at = watcher.heard_at

    def idle(self, now: float) -> float:
        """For how many seconds nobody has watched it; 0 while somebody does."""
        return 0.0 if self.left_at is None else now - self.left_at

    def whole_view(self) -> str:
        """The message with the view as it is now."""
        return encoded(
            {
                "type": "view",
                "session": self.id,
                "seq": self.history.last,
                "view": view(self.session),
            }
        )

    def patches_since(self, seq: int) -> list[str] | None:
        """The messages behind record ``seq``; None where they are not all kept."""
        if not self._patches_after <= seq <= self.history.last:
            return None
        return [text for n, text in self._patches if n > seq]

    def _follow(self, before: State, record: Record, after: State) -> None:
        """Keep a record, and tell what it changed: once encoded for all."""
        session = after.sessions.get(self.id)
        if session is None:
            return
        earlier = before.sessions.get(self.id) or Session(self.id)
        self.history.add(record, after)
        operations = patch(earlier, session, record)
        if operations:
            self._tell(record.seq, operations)
        if _shown(earlier) != _shown(session):
            self._changed(self)
        if self._policing is None and has_foreign_tools(record, session):
            self.ends = "the call was given tools that it may not have"
            self._policing = asyncio.create_task(self.close())

    def _tell(self, seq: int, operations: list[dict[str, Any]]) -> None:
        text = encoded({"s": self.id, "n": seq, "p": operations})
        self._patches.append((seq, text))
        self._patches_size += len(text)
        while self._patches_size > _KEPT:
            self._patches_after, gone = self._patches.popleft()
            self._patches_size -= len(gone)
        for watcher in self._watchers:
            watcher.push(self, text)

    # The call.

    async def call(self, offer: str, *, user: str | None) -> str:
        """The service's answer to a page's offer; from here on the call is watched.

        Raises `Refused` where there was a call, or where the service takes none.
        """
        relay = Relay(offer, user=user)
        calling = self._connect(relay, timeout=_CONNECTING)
        return await outcome(relay.answer, calling)

    async def token(self, *, user: str | None) -> tuple[Secret, str]:
        """An ephemeral key for a page that calls by itself, and its reports' nonce.

        Raises `Refused` as `call` does.
        """

        def note(frame: str) -> None:
            self._client.store.feed(
                self.id, frame, at=self._now(), dir="out", src=Browser.src
            )

        browser = Browser(self.id, note, user=user)
        calling = self._connect(browser, timeout=LIFETIME + _CONNECTING)
        self._browser = browser
        key = await outcome(browser.key, calling)
        loop = asyncio.get_running_loop()
        self.called_at, self.key_until = loop.time(), loop.time() + LIFETIME
        return key, browser.nonce

    def report(self, page: Watcher, nonce: str, reports: list[tuple[str, str]]) -> None:
        """What a page says of its own call. Raises `Refused`."""
        if self._browser is None:
            raise Refused(409, "no_call", "this session has no call of a page's own")
        self._browser.take(page, nonce, reports)

    def _connect(
        self, transport: Transport, *, timeout: float
    ) -> asyncio.Task[DuologueError | None]:
        """Start the session over a transport, beside what else goes on."""
        if not self._is_ahead or self._calling is not None:
            raise Refused(409, "has_call", "this session had its call; make another")
        self.called_at = asyncio.get_running_loop().time()
        if not self._watchers:
            self.left_at = self.called_at
        work = self._start(transport, timeout)
        self._calling = asyncio.create_task(work, name=f"duologue web {self.id}")
        return self._calling

    async def _start(
        self, transport: Transport, timeout: float
    ) -> DuologueError | None:
        """Connect; what it fails of is said in the state, and given."""
        try:
            live = await self._client.start_session(
                self._config,
                id=self.id,
                transport=transport,
                tools=self._tools,
                timeout=timeout,
            )
            self.live = live
            if self._late:
                await live.update(**self._late)
        except DuologueError as error:
            self._fail(str(error))
            return error
        except Exception as error:
            # Ours or the application's, such as two tools of one name.
            _log.exception("session %s was not started", self.id)
            self._fail(f"unexpected: {type(error).__name__}")
            return Refused(500, "failed", "the server failed")
        return None

    def _fail(self, reason: str) -> None:
        """Say that there is no call, if it was not said by the session itself."""
        if self.live is None and not self._is_over:
            fact = encode(events.Disconnected(reason=reason, expected=False))
            store = self._client.store
            store.feed(self.id, fact, at=self._now(), dir="local")

    async def do(self, command: Command) -> None:
        """Carry out a command of a page. Raises `Refused`."""
        if isinstance(command, Close):
            await self.close()
        elif self._is_ahead and isinstance(command, Update):
            changes = self._changes(command)
            self._config = changed(self._config, changes)
            if self._calling is not None:
                self._late.update(changes)
        elif self.live is None or self._is_over:
            raise Refused(409, "no_call", "this session has no call")
        else:
            await self._tell_service(self.live, command)

    def _changes(self, command: Update) -> dict[str, Any]:
        models = self._models if self._calling is None else ()
        return changes_of(
            command.session, models=models, transcribers=self._transcribers
        )

    async def _tell_service(self, live: LiveSession, command: Command) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._carry_out(live, command)
        except NotConnected:
            raise Refused(409, "no_call", "this session has no call") from None
        except TimeoutError:
            said = f"the service did not take it within {_PATIENCE:g} s"
            raise Refused(504, "service_timeout", said) from None
        except (TypeError, ValueError) as error:
            raise Refused(422, "not_accepted", str(error)) from None

    async def _carry_out(self, live: LiveSession, command: Command) -> None:
        match command:
            case Say():
                await live.send_text(command.text)
            case Interrupt():
                await live.interrupt()
            case Update():
                changes = self._changes(command)
                changed(self._config, changes)
                await live.update(**changes)
            case Mute():
                live.unmute() if not command.muted else live.mute()
            case Volume():
                live.set_volume(command.level)
            case Clear():
                live.clear_transcripts()

    async def close(self) -> None:
        """Hang up; the session stays to be read. Idempotent."""
        self._closed = True
        if self._calling is not None and not self._calling.done():
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)
        if self.live is not None:
            await self.live.close()
        self._changed(self)

    async def forget(self) -> None:
        """Hang up and let go of everything."""
        await self.close()
        self._unsubscribe()
        if self.id in self._client.sessions:
            await self._client.close_session(self.id)
        for watcher in tuple(self._watchers):
            watcher.unwatch(self.id)
            watcher.tell({"type": "gone", "session": self.id})


def _speaking(session: Session) -> str | None:
    """Who is heard just now; the user before the assistant."""
    if session.activity.speaking_item is not None:
        return "user"
    return "assistant" if session.activity.playing is not None else None


def _shown(session: Session) -> tuple[object, ...]:
    """What of a session stands in its summary, the numbers left out."""
    connection, activity = session.connection, session.activity
    ended = (connection.status, connection.reason)
    return (*ended, activity.muted, _speaking(session), session.usage.tokens)
