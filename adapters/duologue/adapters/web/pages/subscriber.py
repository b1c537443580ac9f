"""One page that follows sessions: what waits for it is bounded.

A change of a session is encoded once for all who watch it. A page that reads too slowly
loses what waits of patches, and gets the whole view of those sessions when it reads
again; nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from ..sessions.web_session import Room

__all__ = ["Watcher", "encoded"]

#: Characters of patches that may wait for one page.
WAITING_LIMIT = 256 * 1024
#: Characters and messages that go in one piece.
_BATCH, _BATCH_MESSAGES = 64 * 1024, 256


def encoded(message: Any) -> str:
    """A message as JSON text."""
    return msgspec.json.encode(message).decode()


class Watcher:
    """What waits for one page.

    ``list_sessions`` gives the message about all sessions of its user.
    """

    def __init__(
        self, list_sessions: Callable[[], str], *, limit: int = WAITING_LIMIT
    ) -> None:
        self._list_sessions = list_sessions
        self._limit = limit
        self._waiting: deque[tuple[str | None, str]] = deque()
        self._size = 0
        #: Characters of answers among them.
        self._told = 0
        #: Sessions of which the whole view is due.
        self._due: dict[str, Room] = {}
        self._list_due = True
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self.rooms: dict[str, Room] = {}
        #: When the page was last heard of, by the loop's clock.
        self.heard_at = asyncio.get_running_loop().time()

    def watch(self, room: Room, since: int | None = None) -> None:
        """Follow a session: from ``since`` if that can be, else with its whole view."""
        self.unwatch(room.id)
        self.rooms[room.id] = room
        missed = None if since is None else room.patches_since(since)
        if missed is None:
            self._due[room.id] = room
        for text in missed or ():
            self.push(room, text)
        room.enter(self)
        self._wake.set()

    def unwatch(self, session_id: str) -> None:
        """Follow it no more. Nothing, if it is not followed."""
        room = self.rooms.pop(session_id, None)
        if room is not None:
            self._drop(session_id)
            self._due.pop(session_id, None)
            room.leave(self)

    def leave(self) -> None:
        """Follow nothing any more."""
        for session_id in tuple(self.rooms):
            self.unwatch(session_id)

    def push(self, room: Room, text: str) -> None:
        """A change of a session. Never waits."""
        if room.id in self._due:
            return
        if self._size + len(text) > self._limit:
            self._overrun()
            self._due[room.id] = room
        else:
            self._put(room.id, text)
        self._wake.set()

    def _overrun(self) -> None:
        """Let all patches go; their sessions are due as a whole."""
        for session_id in {name for name, _ in self._waiting if name is not None}:
            self._due[session_id] = self.rooms[session_id]
        kept = [(name, text) for name, text in self._waiting if name is None]
        self._waiting = deque(kept)
        self._size = sum(len(text) for _, text in kept)

    def _drop(self, session_id: str) -> None:
        kept = [(name, text) for name, text in self._waiting if name != session_id]
        self._waiting = deque(kept)
        self._size = sum(len(text) for _, text in kept)

    def renew_list(self) -> None:
        """The list of sessions changed: the newest one is told, once."""
        self._list_due = True
        self._wake.set()

    def tell(self, message: Any) -> None:
        """Something that must not be lost: an answer to what the page said."""
        text = encoded(message)
        self._put(None, text)
        self._told += len(text)
        if self._told > self._limit:
            self._drained.clear()
        self._wake.set()

    @property
    def has_room(self) -> bool:
        """Whether it has read what it was answered, but for so much."""
        return self._drained.is_set()

    async def room_for_more(self) -> None:
        """Wait until the page has read what it was answered: it asks no faster."""
        await self._drained.wait()

    def _put(self, name: str | None, text: str) -> None:
        self._waiting.append((name, text))
        self._size += len(text)

    async def take(self) -> str:
        """What is to be sent next: a message, or several as an array."""
        while True:
            self._wake.clear()
            if self._list_due:
                self._list_due = False
                return self._list_sessions()
            if self._waiting:
                return self._batch()
            if self._due:
                room = self._due.pop(next(iter(self._due)))
                return room.whole_view()
            await self._wake.wait()

    def _batch(self) -> str:
        texts: list[str] = []
        size = 0
        while self._waiting and size < _BATCH and len(texts) < _BATCH_MESSAGES:
            name, text = self._waiting.popleft()
            texts.append(text)
            size += len(text)
            self._told -= len(text) if name is None else 0
        self._size -= size
        if self._told <= self._limit:
            self._drained.set()
        return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"
