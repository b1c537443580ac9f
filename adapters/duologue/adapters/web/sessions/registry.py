"""The registry: all sessions of an application, by owner, with their limits."""

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
from duologue.transports.http.providers import OPENAI, Provider

from ..pages.page_policy import changes_of, with_changes
from ..pages.redaction import redacting, secrets_of
from ..pages.refusals import Refused
from ..pages.subscriber import Subscriber, encoded
from .history import History
from .limits import USED_UP, Limits, UsageLimiter
from .web_session import SessionInfo, WebSession

__all__ = ["PAGE_TIMEOUT", "Caller", "Registry"]

_log = logging.getLogger("duologue.web")
#: Seconds without a message after which a page counts as gone.
PAGE_TIMEOUT = 20.0
#: Seconds between two sweeps.
_SWEEP_INTERVAL = 1.0
#: Seconds in which changes of the list of sessions are combined.
_LIST_INTERVAL = 0.1
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@attrs.frozen
class Caller:
    """The user of a request (the application's name for them) and their address."""

    name: str
    address: str
    #: Whether the application authenticated the user; else all users share one name.
    known: bool = False


class Registry:
    """Creates, finds, limits and ends the sessions of an application."""

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        provider: Provider = OPENAI,
        config: SessionConfig,
        models: tuple[str, ...],
        tools: tuple[Callable[..., Any], ...],
        limits: Limits,
        transcription_models: tuple[str, ...] = (),
    ) -> None:
        self.clock = SystemClock()
        hidden = (credentials.key.reveal(), *secrets_of(config))
        self.client = Client(
            credentials=credentials,
            base_url=base_url,
            provider=provider,
            store=Store(middleware=(redacting(hidden),)),
            clock=self.clock,
            backoff=None,
        )
        self.limits = limits
        self.config = config
        self.models = models
        self.transcription_models = transcription_models
        self._tools = tools
        self._usage = UsageLimiter(limits)
        self._secret = credentials.key.reveal().encode()
        self._sessions: dict[str, WebSession] = {}
        #: Removed sessions whose ephemeral key is still valid, and until when.
        self._valid_keys: dict[SessionInfo, float] = {}
        #: The open pages, with the name of each page's user.
        self._pages: dict[Subscriber, str] = {}
        #: The encoded list of sessions of each user, and the users with a changed list.
        self._lists: dict[str, str] = {}
        self._changed_lists: set[str] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = False

    # Sessions.

    def sessions_of(self, caller: Caller) -> list[WebSession]:
        """The sessions of a user, in order of creation."""
        return [s for s in self._sessions.values() if s.info.owner == caller.name]

    def session(self, caller: Caller, session_id: str) -> WebSession:
        """A session of the user. Raises `Refused`, also for one of another user."""
        session = self._sessions.get(session_id)
        if session is None or session.info.owner != caller.name:
            raise Refused(404, "no_session", "there is no such session")
        return session

    def create(
        self, caller: Caller, *, session: dict[str, object], title: str | None
    ) -> WebSession:
        """Create a session without a call. Raises `Refused`.

        ``session`` is a GA session object.
        """
        changes = changes_of(
            session,
            models=self.models,
            transcription_models=self.transcription_models,
        )
        config = with_changes(self.config, changes)
        self.count_start(caller)
        info = self._new_info(caller, title, "live")
        return self._add(info, self.history(info.id), config)

    def check_sessions(self, caller: Caller, more: int = 1) -> None:
        """Check that the user may have ``more`` sessions. Raises `Refused`."""
        self._usage.check_sessions(self._counts(caller), more)

    def count_start(self, caller: Caller) -> None:
        """Count the start of a session or of an import. Raises `Refused`."""
        self._check_open()
        self.check_sessions(caller)
        self._usage.count_starts(caller.name, caller.address)

    def import_log(
        self,
        caller: Caller,
        histories: Sequence[History],
        *,
        title: str | None,
        end_reason: str | None,
    ) -> list[WebSession]:
        """Add all sessions of a log, without calls, or none. Raises `Refused`.

        `count_start` has counted the first session. ``end_reason`` is the reason why
        the log is incomplete, if it is.
        """
        self._check_open()
        self.check_sessions(caller, len(histories))
        if len(histories) > 1:
            more = len(histories) - 1
            self._usage.count_starts(caller.name, caller.address, more)
        sessions = []
        for history in histories:
            info = self._new_info(caller, title, "import")
            session = self._add(info, history, self.config)
            session.end_reason = end_reason
            sessions.append(session)
        return sessions

    def _check_open(self) -> None:
        if self._closing:
            raise Refused(503, "closing", "the server is shutting down")
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="duologue web")

    def _counts(self, caller: Caller) -> tuple[int, int]:
        """The number of sessions of the user, and of the address."""
        now = asyncio.get_running_loop().time()
        valid = {info: end for info, end in self._valid_keys.items() if end > now}
        self._valid_keys = valid
        infos = [*valid, *(session.info for session in self._sessions.values())]
        return (
            sum(info.owner == caller.name for info in infos),
            sum(info.address == caller.address for info in infos),
        )

    def _new_info(self, caller: Caller, title: str | None, kind: str) -> SessionInfo:
        return SessionInfo(
            id="".join(secrets.choice(_ALPHABET) for _ in range(26)),
            owner=caller.name,
            address=caller.address,
            title=title,
            kind=kind,
            created_at=self.clock.now(),
        )

    def history(self, session_id: str) -> History:
        """An empty history for records of this session."""
        limits = self.limits
        return History(session_id, records=limits.records, size=limits.bytes)

    def _add(
        self, info: SessionInfo, history: History, config: SessionConfig
    ) -> WebSession:
        session = self._sessions[info.id] = WebSession(
            info,
            history,
            client=self.client,
            now=self.clock.now,
            config=config,
            models=self.models,
            transcription_models=self.transcription_models,
            tools=self._tools,
            on_change=self.update_list,
        )
        self.update_list(session)
        return session

    async def remove(self, session: WebSession) -> None:
        """Hang up and remove a session."""
        if self._sessions.pop(session.id, None) is not None:
            if session.key_expires_at:
                self._valid_keys[session.info] = session.key_expires_at
            await session.remove()
            self.update_list(session)

    async def call(self, caller: Caller, session: WebSession, offer: str) -> str:
        """Open the call of an offer; return the answer. Raises `Refused`."""
        self._usage.check_minutes(caller.name, caller.address)
        answer = await session.call(offer, user=self.safety_identifier(caller))
        await self._count_first_minute(session)
        return answer

    async def token(self, caller: Caller, session: WebSession) -> tuple[Secret, str]:
        """Create an ephemeral key and nonce: `WebSession.token`. Raises `Refused`."""
        self._usage.check_minutes(caller.name, caller.address)
        found = await session.token(user=self.safety_identifier(caller))
        await self._count_first_minute(session)
        return found

    async def _count_first_minute(self, session: WebSession) -> None:
        """Count the first minute at once: short calls count too. Raises `Refused`."""
        if not self._count_minutes(session, 0.0):
            session.end_reason = USED_UP
            await session.close()
            raise Refused(429, "no_minutes_left", USED_UP)

    def _count_minutes(self, session: WebSession, lasted: float) -> bool:
        """Count the minutes of a call as they begin. False if no minute was left."""
        while session.minutes * 60 <= lasted:
            session.minutes += 1
            if not self._usage.count_minute(session.info.owner, session.info.address):
                return False
        return True

    def safety_identifier(self, caller: Caller) -> str | None:
        """An HMAC of the user's name for the service; None without authentication."""
        if not caller.known:
            return None
        return hmac.new(self._secret, caller.name.encode(), "sha256").hexdigest()

    # Pages.

    def enter(self, caller: Caller) -> Subscriber:
        """Add a page. Raises `Refused` if the user has too many."""
        self._check_open()
        if list(self._pages.values()).count(caller.name) >= self.limits.feeds:
            raise Refused(429, "too_many_feeds", "too many pages are open")
        page = Subscriber(lambda: self._list(caller))
        self._pages[page] = caller.name
        return page

    def leave(self, page: Subscriber) -> None:
        """Remove a page, and end its subscriptions."""
        page.leave()
        owner = self._pages.pop(page)
        if owner not in self._pages.values():
            self._lists.pop(owner, None)

    def _list(self, caller: Caller) -> str:
        """The list of a user's sessions, encoded once for all pages of the user."""
        text = self._lists.get(caller.name)
        if text is None:
            sessions = [session.summary() for session in self.sessions_of(caller)]
            text = encoded({"type": "sessions", "sessions": sessions})
            self._lists[caller.name] = text
        return text

    def update_list(self, session: WebSession) -> None:
        """Send the owner's list to all pages of the owner, after a short delay."""
        if not self._changed_lists:
            loop = asyncio.get_running_loop()
            loop.call_later(_LIST_INTERVAL, self._send_lists)
        self._changed_lists.add(session.info.owner)
        self._lists.pop(session.info.owner, None)

    def _send_lists(self) -> None:
        owners, self._changed_lists = self._changed_lists, set()
        for owner in owners:
            self._lists.pop(owner, None)
        for page, owner in self._pages.items():
            if owner in owners:
                page.send_list()

    # The end of sessions.

    async def _sweep(self) -> None:
        """Sweep once a second. When cancelled, close the registry.

        If an application never calls `aclose`, the end of its event loop cancels this
        task, which hangs up its calls.
        """
        try:
            while True:
                await asyncio.sleep(_SWEEP_INTERVAL)
                try:
                    await self.sweep(asyncio.get_running_loop().time())
                except Exception:
                    # Sweeps must continue: a forgotten call costs money.
                    _log.exception("a sweep of the sessions failed")
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def sweep(self, now: float) -> None:
        """Hang up calls without pages or over a limit, and remove idle sessions."""
        failures = self.client.store.failures
        while failures:
            _log.error("a subscriber of the store failed", exc_info=failures.popleft())
        ending = []
        for session in list(self._sessions.values()):
            reason = self._end_reason(session, now) if session.has_call else None
            if reason is not None:
                _log.info("session %s is hung up: %s", session.id, reason)
                session.end_reason = reason
                ending.append(session)
        await _close_all(ending)
        idle_seconds = self.limits.idle_minutes * 60
        for session in list(self._sessions.values()):
            if not session.has_call and session.topic.idle(now) >= idle_seconds:
                await self.remove(session)

    def _end_reason(self, session: WebSession, now: float) -> str | None:
        """The reason why a call must end now, or None."""
        if session.topic.idle(now) >= PAGE_TIMEOUT:
            return "the page is gone"
        if session.called_at is None:
            return None
        lasted = now - session.called_at
        if lasted >= self.limits.call_minutes * 60:
            return f"the limit of a call is {self.limits.call_minutes} minutes"
        return None if self._count_minutes(session, lasted) else USED_UP

    async def aclose(self) -> None:
        """Hang up all calls and accept no new ones. Idempotent."""
        self._closing = True
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None and sweeper is not asyncio.current_task():
            sweeper.cancel()
        await _close_all(self._sessions.values())
        await self.client.close()


async def _close_all(sessions: Iterable[WebSession]) -> None:
    """Close all at the same time, because each may wait for the service."""
    closing = (session.close() for session in sessions)
    for result in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(result, Exception):
            _log.error("closing a session failed", exc_info=result)
