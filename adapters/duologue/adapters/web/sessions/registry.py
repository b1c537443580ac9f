"""All sessions of one application: made, found by their owner, ended."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from duologue.core import SessionConfig, Store
from duologue.transports import Client, Credentials
from duologue.transports.clock import SystemClock
from duologue.transports.http.credentials import Secret

from ..pages.page_policy import changed, changes_of
from ..pages.redaction import hiding, secrets_of
from ..pages.refusals import Refused
from ..pages.subscriber import Watcher, encoded
from .history import History
from .limits import Limits, Meter
from .web_session import About, Room

__all__ = ["Caller", "Hub"]

_log = logging.getLogger("duologue.web")
#: Seconds without a sign of life after which a page is gone.
GONE = 20.0
#: Seconds between looks for pages that are gone.
_LOOK = 1.0
#: Seconds in which changes of the list of sessions are told together.
_LIST_EVERY = 0.1
_USED_UP = "all minutes of this day are used up"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@attrs.frozen
class Caller:
    """Who asks: the user by the application's own name, and from where."""

    name: str
    address: str
    #: Whether the application knows the user; else everybody is the same one.
    known: bool = False


class Hub:
    """The sessions, who watches them, and what ends them."""

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        config: SessionConfig,
        models: tuple[str, ...],
        tools: tuple[Callable[..., Any], ...],
        limits: Limits,
        transcribers: tuple[str, ...] = (),
    ) -> None:
        self.clock = SystemClock()
        hidden = (credentials.key.reveal(), *secrets_of(config))
        self.client = Client(
            credentials=credentials,
            base_url=base_url,
            store=Store(middleware=(hiding(hidden),)),
            clock=self.clock,
            backoff=None,
        )
        self.limits = limits
        self.config = config
        self.models = models
        self.transcribers = transcribers
        self._tools = tools
        self._meter = Meter(limits)
        self._secret = credentials.key.reveal().encode()
        self._rooms: dict[str, Room] = {}
        #: Sessions that are removed while their key still lives, and until when.
        self._keyed: dict[About, float] = {}
        self._watchers: dict[Watcher, str] = {}
        #: The lists of sessions as they were told last, and whose are to be told anew.
        self._lists: dict[str, str] = {}
        self._lists_due: set[str] = set()
        self._guardian: asyncio.Task[None] | None = None
        self._closing = False

    # Sessions.

    def rooms_of(self, caller: Caller) -> Iterable[Room]:
        """The sessions of a user, in the order in which they were made."""
        return [r for r in self._rooms.values() if r.about.owner == caller.name]

    def room(self, caller: Caller, session_id: str) -> Room:
        """A session of the user's. Raises `Refused`; another's is not there."""
        room = self._rooms.get(session_id)
        if room is None or room.about.owner != caller.name:
            raise Refused(404, "no_session", "there is no such session")
        return room

    def create(
        self, caller: Caller, *, session: dict[str, object], title: str | None
    ) -> Room:
        """A new session, not connected yet. Raises `Refused`."""
        changes = changes_of(
            session, models=self.models, transcribers=self.transcribers
        )
        config = changed(self.config, changes)
        self._check_open()
        self.check_sessions(caller)
        self._meter.start(caller.name, caller.address)
        about = self._about(caller, title, "live")
        return self._add(about, self.history(about.id), config)

    def check_sessions(self, caller: Caller, more: int = 1) -> None:
        """Whether a user may have so many more sessions. Raises `Refused`."""
        self._meter.check_sessions(self._counts(caller), more)

    def begin_import(self, caller: Caller) -> None:
        """Count an import before anything is read of it. Raises `Refused`."""
        self._check_open()
        self.check_sessions(caller)
        self._meter.start(caller.name, caller.address)

    def read(
        self,
        caller: Caller,
        histories: Sequence[History],
        *,
        title: str | None,
        ends: str | None,
    ) -> list[Room]:
        """The sessions of a log, to be read only: all of them, or `Refused`.

        The import was counted when it began. ``ends`` says why it ends too early.
        """
        self._check_open()
        self.check_sessions(caller, len(histories))
        if len(histories) > 1:
            self._meter.start(caller.name, caller.address, len(histories) - 1)
        return [self._read(caller, history, title, ends) for history in histories]

    def _read(
        self, caller: Caller, history: History, title: str | None, ends: str | None
    ) -> Room:
        about = self._about(caller, title, "import")
        room = self._add(about, history, self.config)
        room.ends = ends
        return room

    def _check_open(self) -> None:
        if self._closing:
            raise Refused(503, "closing", "the server is shutting down")
        if self._guardian is None:
            self._guardian = asyncio.create_task(self._guard(), name="duologue web")

    def _counts(self, caller: Caller) -> tuple[int, int]:
        """Sessions that the user has, and that the address has."""
        now = asyncio.get_running_loop().time()
        self._keyed = {a: until for a, until in self._keyed.items() if until > now}
        rooms = [*self._keyed, *(room.about for room in self._rooms.values())]
        return (
            sum(about.owner == caller.name for about in rooms),
            sum(about.address == caller.address for about in rooms),
        )

    def _about(self, caller: Caller, title: str | None, kind: str) -> About:
        return About(
            id="".join(secrets.choice(_ALPHABET) for _ in range(26)),
            owner=caller.name,
            address=caller.address,
            title=title,
            kind=kind,
            created_at=self.clock.now(),
        )

    def history(self, name: str) -> History:
        """An empty history for the session of this name."""
        return History(name, records=self.limits.records, size=self.limits.bytes)

    def _add(self, about: About, history: History, config: SessionConfig) -> Room:
        room = self._rooms[about.id] = Room(
            about,
            history,
            client=self.client,
            now=self.clock.now,
            config=config,
            models=self.models,
            transcribers=self.transcribers,
            tools=self._tools,
            changed=self._renew,
        )
        # Who never watches it is gone as well.
        room.left_at = asyncio.get_running_loop().time()
        self._renew(room)
        return room

    async def remove(self, room: Room) -> None:
        """End a session and forget it."""
        if self._rooms.pop(room.id, None) is not None:
            if room.key_until:
                self._keyed[room.about] = room.key_until
            await room.forget()
            self._renew(room)

    async def call(self, caller: Caller, room: Room, offer: str) -> str:
        """Place the call of a session: the answer. Raises `Refused`."""
        self._meter.check_minutes(caller.name, caller.address)
        answer = await room.call(offer, user=self._safety(caller))
        await self._charge(room)
        return answer

    async def token(self, caller: Caller, room: Room) -> tuple[Secret, str]:
        """A key for a page that calls by itself, and its nonce. Raises `Refused`."""
        self._meter.check_minutes(caller.name, caller.address)
        found = await room.token(user=self._safety(caller))
        await self._charge(room)
        return found

    async def _charge(self, room: Room) -> None:
        """Count the first minute before a page can hang up. Raises `Refused`."""
        if not self._take_minutes(room, 0.0):
            room.ends = _USED_UP
            await room.close()
            raise Refused(429, "no_minutes_left", _USED_UP)

    def _take_minutes(self, room: Room, lasted: float) -> bool:
        """Count the minutes of a call, the one that has begun too; False: none left."""
        while room.minutes * 60 <= lasted:
            room.minutes += 1
            if not self._meter.take_minute(room.about.owner, room.about.address):
                return False
        return True

    def _safety(self, caller: Caller) -> str | None:
        """The user for the service, who cannot tell from it who it is."""
        if not caller.known:
            return None
        return hmac.new(self._secret, caller.name.encode(), "sha256").hexdigest()

    # Pages.

    def enter(self, caller: Caller) -> Watcher:
        """A page has come. Raises `Refused` where there are too many of the user's."""
        self._check_open()
        if list(self._watchers.values()).count(caller.name) >= self.limits.feeds:
            raise Refused(429, "too_many_feeds", "too many pages are open already")
        watcher = Watcher(lambda: self._list(caller))
        self._watchers[watcher] = caller.name
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """A page has gone."""
        watcher.leave()
        owner = self._watchers.pop(watcher)
        if owner not in self._watchers.values():
            self._lists.pop(owner, None)

    def _list(self, caller: Caller) -> str:
        """The message about all sessions of a user; made once for all their pages."""
        text = self._lists.get(caller.name)
        if text is None:
            rooms = [room.summary() for room in self.rooms_of(caller)]
            text = encoded({"type": "sessions", "sessions": rooms})
            self._lists[caller.name] = text
        return text

    def _renew(self, room: Room) -> None:
        """A list of sessions is not right any more: a new one is due soon."""
        if not self._lists_due:
            loop = asyncio.get_running_loop()
            loop.call_later(_LIST_EVERY, self._renew_lists)
        self._lists_due.add(room.about.owner)
        self._lists.pop(room.about.owner, None)

    def _renew_lists(self) -> None:
        owners, self._lists_due = self._lists_due, set()
        for owner in owners:
            self._lists.pop(owner, None)
        for watcher, owner in self._watchers.items():
            if owner in owners:
                watcher.renew_list()

    # The end.

    async def _guard(self) -> None:
        """Look for calls that nobody watches; at the end, hang up what is left.

        An application may never say that it ends: then the loop does, by cancelling
        this task.
        """
        try:
            while True:
                await asyncio.sleep(_LOOK)
                try:
                    await self.look(asyncio.get_running_loop().time())
                except Exception:
                    # The next look must come: calls cost money.
                    _log.exception("looking after the sessions failed")
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def look(self, now: float) -> None:
        """Hang up what nobody watches any more, forget what nobody wants any more."""
        failures = self.client.store.failures
        while failures:
            _log.error("a change was not told", exc_info=failures.popleft())
        ending = []
        for room in list(self._rooms.values()):
            why = self._must_end(room, now) if room.has_call else None
            if why is not None:
                _log.info("session %s is hung up: %s", room.id, why)
                room.ends = why
                ending.append(room)
        await _close_all(ending)
        for room in list(self._rooms.values()):
            if not room.has_call and room.idle(now) >= self.limits.idle_minutes * 60:
                await self.remove(room)

    def _must_end(self, room: Room, now: float) -> str | None:
        """Why a call must not go on."""
        if room.idle(now) >= GONE:
            return "the page is gone"
        if room.called_at is None:
            return None
        lasted = now - room.called_at
        if lasted >= self.limits.call_minutes * 60:
            return f"a call may last {self.limits.call_minutes} minutes"
        return None if self._take_minutes(room, lasted) else _USED_UP

    async def aclose(self) -> None:
        """Hang up all calls. Idempotent; nothing can be started afterwards."""
        self._closing = True
        guardian, self._guardian = self._guardian, None
        if guardian is not None and guardian is not asyncio.current_task():
            guardian.cancel()
        await _close_all(self._rooms.values())
        await self.client.close()


async def _close_all(rooms: Iterable[Room]) -> None:
    """Hang up all at once: a service that does not answer takes its time."""
    closing = (room.close() for room in rooms)
    for result in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(result, Exception):
            _log.error("a session was not closed well", exc_info=result)
