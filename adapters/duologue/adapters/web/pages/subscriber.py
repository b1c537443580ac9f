"""Subscribers: the bounded queue of messages of each page.

A patch of a session is encoded once for all its subscribers. If a page reads too
slowly, its queued patches are dropped, and the whole views of those sessions are sent
instead. Other pages are not affected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["Subscriber", "Topic", "encoded"]

#: The most characters in the queue of one page; replies may exceed it.
QUEUE_LIMIT = 256 * 1024
#: The most characters and messages in one batch.
_BATCH, _BATCH_MESSAGES = 64 * 1024, 256
#: The most characters of recent patches that a session keeps: a page that reconnects
#: gets the patches that it missed.
_KEPT = 256 * 1024


def encoded(message: Any) -> str:
    """A message as JSON text."""
    return msgspec.json.encode(message).decode()


class Topic:
    """The recent patches of one session, and its subscribers.

    ``seq`` is the number of the last record, ``view`` returns the message with the
    whole view, ``on_leave`` is called with each subscriber that leaves.
    """

    def __init__(
        self,
        session_id: str,
        seq: int,
        *,
        view: Callable[[], str],
        on_leave: Callable[[Subscriber], None],
    ) -> None:
        self.id = session_id
        self.view = view
        self._on_leave = on_leave
        self.subscribers: dict[Subscriber, None] = {}
        self._patches: deque[tuple[int, str]] = deque()
        self._size = 0
        self._seq = seq
        #: Patches up to this record are not kept.
        self._dropped_seq = seq
        #: When the last subscriber left, by the loop's clock; None while it has one.
        self.left_at: float | None = asyncio.get_running_loop().time()

    def idle(self, now: float) -> float:
        """Seconds since the last subscriber left; 0 while the session has one."""
        return 0.0 if self.left_at is None else now - self.left_at

    def enter(self, subscriber: Subscriber) -> None:
        """Add a subscriber."""
        self.subscribers[subscriber] = None
        self.left_at = None

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; `idle` counts from the last message of its page."""
        self.subscribers.pop(subscriber, None)
        self._on_leave(subscriber)
        if not self.subscribers:
            self.left_at = subscriber.seen_at

    def publish(self, seq: int, operations: list[dict[str, Any]]) -> None:
        """Queue the patch of record ``seq``, if there is one, for all subscribers."""
        self._seq = seq
        if not operations:
            return
        text = encoded({"s": self.id, "n": seq, "p": operations})
        self._patches.append((seq, text))
        self._size += len(text)
        while self._size > _KEPT:
            self._dropped_seq, dropped = self._patches.popleft()
            self._size -= len(dropped)
        for subscriber in self.subscribers:
            subscriber.push(self, text)

    def patches_since(self, seq: int) -> list[str] | None:
        """The messages after record ``seq``; None if some are not kept."""
        if not self._dropped_seq <= seq <= self._seq:
            return None
        return [text for n, text in self._patches if n > seq]


class Subscriber:
    """The queue of one page.

    ``list_sessions`` returns the message with all sessions of its user. ``limit`` is in
    characters: a patch that does not fit drops all queued patches; replies are kept.
    """

    def __init__(
        self, list_sessions: Callable[[], str], *, limit: int = QUEUE_LIMIT
    ) -> None:
        self._list_sessions = list_sessions
        self._limit = limit
        #: Messages: each patch with its session id, each reply with None.
        self._queue: deque[tuple[str | None, str]] = deque()
        self._size = 0
        #: Characters of replies in the queue.
        self._reply_size = 0
        #: Sessions whose whole view must be sent.
        self._stale: dict[str, Topic] = {}
        self._list_stale = True
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._topics: dict[str, Topic] = {}
        #: When the page last sent a message, by the loop's clock.
        self.seen_at = asyncio.get_running_loop().time()

    def watch(self, topic: Topic, since: int | None = None) -> None:
        """Subscribe to a session.

        Sends the patches after record ``since`` if they are kept, else the whole view.
        """
        self.unwatch(topic.id)
        self._topics[topic.id] = topic
        missed = None if since is None else topic.patches_since(since)
        if missed is None:
            self._stale[topic.id] = topic
        for text in missed or ():
            self.push(topic, text)
        topic.enter(self)
        self._wake.set()

    def unwatch(self, session_id: str) -> None:
        """End a subscription; does nothing if there is none."""
        topic = self._topics.pop(session_id, None)
        if topic is not None:
            self._filter(lambda key: key != session_id)
            self._stale.pop(session_id, None)
            topic.leave(self)

    def leave(self) -> None:
        """End all subscriptions."""
        for session_id in tuple(self._topics):
            self.unwatch(session_id)

    def push(self, topic: Topic, text: str) -> None:
        """Queue a patch. Above the limit, replace all patches by whole views."""
        if topic.id in self._stale:
            return
        if self._size + len(text) > self._limit:
            dropped = {key for key, _ in self._queue if key is not None}
            self._stale |= {key: self._topics[key] for key in dropped}
            self._stale[topic.id] = topic
            self._filter(lambda key: key is None)
        else:
            self._put(topic.id, text)
        self._wake.set()

    def _filter(self, keeps: Callable[[str | None], bool]) -> None:
        """Keep a message only if ``keeps`` returns true for its session id."""
        self._queue = deque(entry for entry in self._queue if keeps(entry[0]))
        self._size = sum(len(text) for _, text in self._queue)

    def _put(self, session_id: str | None, text: str) -> None:
        self._queue.append((session_id, text))
        self._size += len(text)

    def send_list(self) -> None:
        """Send the list of sessions next, once, even after several calls."""
        self._list_stale = True
        self._wake.set()

    def reply(self, message: Any) -> None:
        """Queue a message that must not be dropped."""
        text = encoded(message)
        self._put(None, text)
        self._reply_size += len(text)
        if self._reply_size > self._limit:
            self._drained.clear()
        self._wake.set()

    @property
    def is_drained(self) -> bool:
        """Whether the queued replies are within the limit."""
        return self._drained.is_set()

    async def wait_drained(self) -> None:
        """Wait until the queued replies are within the limit."""
        await self._drained.wait()

    async def next_batch(self) -> str:
        """Wait for the next message to send, or an array of several."""
        while True:
            self._wake.clear()
            if self._list_stale:
                self._list_stale = False
                return self._list_sessions()
            if self._queue:
                return self._batch()
            if self._stale:
                return self._stale.pop(next(iter(self._stale))).view()
            await self._wake.wait()

    def _batch(self) -> str:
        texts: list[str] = []
        size = 0
        while self._queue and size < _BATCH and len(texts) < _BATCH_MESSAGES:
            session_id, text = self._queue.popleft()
            texts.append(text)
            size += len(text)
            self._reply_size -= len(text) if session_id is None else 0
        self._size -= size
        if self._reply_size <= self._limit:
            self._drained.set()
        return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"
