"""The items of a conversation."""

from __future__ import annotations

from duologue.core import select_items, select_words_missing
from duologue.core.selectors.items import shown_items

from ..talk import Service, fold_frames


def test_items_without_the_deleted() -> None:
    """System messages and calls are items, deleted items are not."""
    service = Service()
    service.typed("be kind", role="system")
    gone = service.typed("no")
    service.send("conversation.item.deleted", item_id=gone)

    assert [i.role for i in select_items(fold_frames(*service.frames))] == ["system"]


def test_where_words_may_be_missing() -> None:
    """`select_words_missing` gives the last item before each gap."""
    service = Service()
    service.frames.append({"type": "duologue.gap", "reason": "restart"})
    item_id = service.typed("hello")
    service.frames.append({"type": "duologue.gap", "reason": "restart"})

    assert ("", item_id) == select_words_missing(fold_frames(*service.frames))


def test_shown_items_begin_with_the_newest() -> None:
    """They go back to the last clearing, without deleted items."""
    service = Service()
    service.typed("cleared")
    service.note("duologue.cleared")
    first, gone, last = (service.typed(text) for text in ("one", "two", "three"))
    service.send("conversation.item.deleted", item_id=gone)
    session = fold_frames(*service.frames)

    assert [item.id for item in shown_items(session)] == [last, first]
    service = Service()
    only = service.typed("hello")
    assert [i.id for i in shown_items(fold_frames(*service.frames))] == [only]
