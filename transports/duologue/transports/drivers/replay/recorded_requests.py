"""The items that a recorded application requested, and those of its repetition."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from duologue.core import events
from duologue.core.log.record import Record

from .recorded_session import event_fields

__all__ = ["RecordedRequests"]


class RecordedRequests:
    """Counts the requested items of all connections of a replayed session.

    An item counts from ``epoch`` on, and if the log shows that it was sent.
    """

    def __init__(self, session: tuple[Record, ...], epoch: int) -> None:
        sent = {item for r in session if r.dir == "out" for item in _item_ids(r.frame)}
        self._recorded = [
            record.seq
            for record in session
            if isinstance(record.event, events.Requested)
            and record.epoch >= epoch
            and any(item in sent for item in _item_ids(record.frame))
        ]
        self._made = 0
        #: The random number of the last end of a connection.
        self.chance: float | None = None
        #: Called after each request; set by the connection that is replayed.
        self.on_request: Callable[[], None] = lambda: None

    def count(self) -> None:
        """Count one more requested item."""
        self._made += 1
        self.on_request()

    def are_made_before(self, record: Record) -> bool:
        """Whether all items were requested that precede a record in the log."""
        return self._made >= bisect_left(self._recorded, record.seq)


def _item_ids(frame: bytes) -> Iterator[str]:
    """The id of the item that an event creates, or that a request asks to create."""
    fields = event_fields(frame) or {}
    if fields.get("type") == "duologue.requested":
        fields = fields.get("event") or {}
    if fields.get("type") == "conversation.item.create":
        item = fields.get("item")
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield item["id"]
