"""The items of a conversation."""

from __future__ import annotations

from collections.abc import Iterator

from ..argument_checks import of_session
from ..state.model import Item, Session
from .memo import memoised

__all__ = ["select_items", "select_words_missing", "shown_items"]


@memoised("items", "conversation")
def select_items(session: Session) -> tuple[Item, ...]:
    """All items of the conversation in order, deleted ones excluded."""
    items = map(session.items.__getitem__, session.conversation.order)
    return tuple(item for item in items if item.status != "deleted")


def shown_items(session: Session) -> Iterator[Item]:
    """The items since the transcripts were last cleared, the newest first.

    Deleted items are excluded.
    """
    for item_id in reversed(session.conversation.order):
        if item_id == session.conversation.cleared_after:
            return
        item = session.items[item_id]
        if item.status != "deleted":
            yield item


@of_session
def select_words_missing(session: Session) -> tuple[str, ...]:
    """The ids of the items after which records were lost, so words may be missing.

    ``""`` is the beginning of the conversation.
    """
    return session.conversation.gaps
