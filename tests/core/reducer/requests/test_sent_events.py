"""Sent events: their ids, and the items to send again."""

from __future__ import annotations

import pytest
from msgspec import structs

from duologue.core import Record, Session
from duologue.core.reducer.requests.sent_events import MAX_SENT, MAX_UNCONFIRMED
from duologue.core.state.model import OutOfBandRequest, RestoredItem, SentEvent

from ...talk import POLICY, Frame, changed, message, to_record
from .records import AGAIN_OPEN, failed, out, session_after, wished


def test_what_was_sent_is_bookkeeping() -> None:
    """The last 64 event ids are kept in the dedup node, except those of audio."""
    append = {"type": "input_audio_buffer.append", "audio": "", "event_id": "a"}
    cancel: Frame = {"type": "response.cancel"}
    many = [out({**cancel, "event_id": f"e{n}"}) for n in range(200)]
    session = session_after(out(append), out(cancel), *many)

    assert session.dedup.sent == tuple(
        SentEvent(f"e{n}", "response.cancel") for n in range(200 - MAX_SENT, 200)
    )
    assert changed(Session("s"), session) == []


@pytest.mark.parametrize(
    ("metadata", "kept"), [({}, ""), (None, ""), ({"a": "b"}, '{"a":"b"}')]
)
def test_requests_out_of_band(metadata: Frame | None, kept: str) -> None:
    """The last 64 are kept, with their metadata, until an error refuses them."""
    params = {"conversation": "none", "metadata": metadata}
    frame: Frame = {"type": "response.create", "response": params}
    many = [out({**frame, "event_id": f"e{n}"}) for n in range(MAX_SENT + 1)]
    session = session_after(*many, failed(event_id="e5"))

    assert session.responses.out_of_band == tuple(
        OutOfBandRequest(f"e{n}", 0, 0.0, kept)
        for n in range(1, MAX_SENT + 1)
        if n != 5
    )


ITEMS = [message(name, "user", []) for name in "ab"]
EARLIER = [
    *(to_record({"type": "conversation.item.added", "item": each}) for each in ITEMS),
    *AGAIN_OPEN,
]


def restored(item_id: str, event_id: str | None, previous: str | None) -> Record:
    item = message(item_id, "user", [])
    frame: Frame = {"type": "conversation.item.create", "item": item}
    frame |= {"event_id": event_id, "previous_item_id": previous}
    return out(frame, epoch=1)


A, B = restored("a", "ea", "root"), restored("b", "eb", "a")


@pytest.mark.parametrize(
    ("records", "expected", "problems"),
    [
        ([A, B], {"a": RestoredItem("ea"), "b": RestoredItem("eb", "a", "ea")}, 0),
        (
            [A, failed(event_id="ea")],
            {"a": RestoredItem("ea", refused=("ea",), dropped=True)},
            1,
        ),
        # Its predecessor was refused, so it is sent again: no problem.
        (
            [A, B, failed(event_id="ea"), failed(event_id="eb")],
            {
                "a": RestoredItem("ea", refused=("ea",), dropped=True),
                "b": RestoredItem("eb", "a", "ea", refused=("eb",)),
            },
            1,
        ),
        (
            [A, B, failed(event_id="eb")],
            {
                "a": RestoredItem("ea"),
                "b": RestoredItem("eb", "a", "ea", refused=("eb",), dropped=True),
            },
            1,
        ),
        # The second attempt remembers the first.
        (
            [
                *(A, B, failed(event_id="ea"), failed(event_id="eb")),
                *(restored("b", "e2", "root"), failed(event_id="e2")),
            ],
            {
                "a": RestoredItem("ea", refused=("ea",), dropped=True),
                "b": RestoredItem("e2", refused=("eb", "e2"), dropped=True),
            },
            2,
        ),
        # An error about another event refuses none.
        ([A, failed(event_id="?")], {"a": RestoredItem("ea")}, 1),
        # These restore nothing: a new item, one without a place or an id of the event.
        ([restored("c", "ec", "root")], {}, 0),
        ([restored("a", "ea", None)], {}, 0),
        ([restored("a", None, "root")], {}, 0),
    ],
)
def test_a_restored_item(
    records: list[Record], expected: dict[str, RestoredItem], problems: int
) -> None:
    """The event that sent it last is kept, and the events that were refused."""
    before = session_after(*EARLIER)
    session = session_after(*EARLIER, *records)

    restored = session.conversation.restored
    known = {name: structs.replace(restored[name], sent=0) for name in restored}
    assert known == expected
    assert len(session.problems) - len(before.problems) == problems


CONFIRMED = to_record({"type": "conversation.item.added", "item": ITEMS[0]}, epoch=1)
INVALID = {"type": "invalid_request_error", "code": "invalid_value"}


@pytest.mark.parametrize(
    ("records", "refused"),
    [
        # A service answers in order.
        ([failed(**INVALID)], "a"),
        ([failed(**INVALID), failed(**INVALID)], "ab"),
        ([CONFIRMED, failed(**INVALID)], "b"),
        ([failed(event_id="eb", **INVALID), failed(**INVALID)], "ab"),
        ([failed(**INVALID), restored("b", "e2", "root"), failed(**INVALID)], "ab"),
        # These are about another event, or about none.
        ([failed(event_id="?", **INVALID)], ""),
        ([failed(**INVALID, param="session.voice")], ""),
        ([failed(code="bad_response_create", type="invalid_request_error")], ""),
        ([failed(type="server_error")], ""),
        ([CONFIRMED, failed(event_id="eb", **INVALID), failed(**INVALID)], "b"),
    ],
)
def test_a_restored_item_that_an_error_does_not_name(
    records: list[Record], refused: str
) -> None:
    """The error refuses the first one that the service has not answered."""
    session = session_after(*EARLIER, A, B, *records)
    restored = session.conversation.restored

    assert [name for name in "ab" if restored[name].refused] == list(refused)


def test_the_items_without_an_answer() -> None:
    """Each leaves with its answer; a new connection begins without any."""
    sent = session_after(*EARLIER, A, B)
    answered = session_after(*EARLIER, A, B, CONFIRMED, failed(event_id="eb"))
    lost = to_record({"type": "duologue.connecting"}, epoch=2)

    assert dict(sent.conversation.restoring) == {"ea": "a", "eb": "b"}
    assert dict(answered.conversation.restoring) == {}
    assert dict(session_after(*EARLIER, A, B, lost).conversation.restoring) == {}


LIVE = to_record({"type": "duologue.connecting", "policy": POLICY})


def typed(item_id: str | None, event_id: str | None = None) -> Record:
    item = {**message("x", "user", []), "id": item_id}
    frame: Frame = {"type": "conversation.item.create", "item": item}
    return out({**frame, "event_id": event_id})


def accepted(item_id: str) -> Record:
    item = {**message("x", "user", []), "id": item_id}
    return wished({"type": "conversation.item.create", "item": item})


ECHO = to_record({"type": "conversation.item.added", "item": ITEMS[0]})


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([typed("a")], []),
        ([LIVE, typed("a"), typed("b")], ["a", "b"]),
        # Sent again, on a connection that is lost too: it keeps its place.
        ([LIVE, typed("a"), typed("b"), typed("a")], ["a", "b"]),
        ([LIVE, accepted("a"), accepted("b"), typed("a")], ["a", "b"]),
        ([LIVE, typed(None)], []),
        ([LIVE, ECHO, typed("a")], []),
        ([LIVE, typed("a"), ECHO, typed("b")], ["b"]),
        ([LIVE, typed("a", "e"), typed("b"), failed(event_id="e")], ["b"]),
        ([LIVE, typed("a", "e"), typed("b"), failed(event_id="?")], ["a", "b"]),
        ([LIVE, typed("a"), typed("b"), failed()], ["a", "b"]),
    ],
)
def test_an_item_that_is_not_confirmed(
    records: list[Record], expected: list[str]
) -> None:
    """A live session keeps a sent item until it is confirmed or refused."""
    kept = session_after(*records).conversation.unconfirmed

    assert [each.item_id for each in kept] == expected


def deletes(item_id: str, event_id: str | None = None) -> Record:
    frame: Frame = {"type": "conversation.item.delete", "item_id": item_id}
    return out({**frame, "event_id": event_id})


DELETED = to_record({"type": "conversation.item.deleted", "item_id": "a"})


@pytest.mark.parametrize(
    ("records", "deleting", "deleted"),
    [
        ([ECHO, deletes("a")], "a", "a"),
        ([ECHO, deletes("a"), deletes("a")], "a", "a"),
        ([ECHO, deletes("a"), DELETED], "a", "a"),
        ([ECHO, deletes("a"), DELETED, deletes("b")], "b", "a"),
        ([ECHO, DELETED, deletes("a")], "", "a"),
        # The service refuses it.
        ([ECHO, deletes("a", "e"), failed(event_id="e")], "", ""),
        ([ECHO, deletes("a", "e"), failed(event_id="?")], "a", "a"),
        ([ECHO, deletes("a"), failed()], "a", "a"),
        # The item was not confirmed either: it is not sent again.
        ([typed("b"), deletes("b")], "b", ""),
    ],
)
def test_a_deletion_that_is_not_confirmed(
    records: list[Record], deleting: str, deleted: str
) -> None:
    """It counts when the connection is lost: the item is not restored."""
    sent = session_after(LIVE, *records)
    lost = session_after(
        LIVE, *records, to_record({"type": "duologue.connecting"}, epoch=1)
    )
    found = {item.id for item in lost.items.values() if item.status == "deleted"}

    assert [each.item_id for each in sent.conversation.deleting] == list(deleting)
    assert found == set(deleted)
    assert lost.conversation.deleting == lost.conversation.unconfirmed == ()


def test_a_deletion_in_a_log_of_frames() -> None:
    """Only a live session restores its items."""
    again = to_record({"type": "duologue.connecting"}, epoch=1)

    assert session_after(ECHO, deletes("a"), again).items["a"].status != "deleted"


def test_only_so_many_unconfirmed_items_are_kept() -> None:
    """The last ones are kept, each with its event; a problem says so once."""
    sent = [typed(str(n)) for n in range(MAX_UNCONFIRMED + 5)]
    session = session_after(LIVE, *sent)
    kept = session.conversation.unconfirmed

    assert [each.event for each in kept] == [each.frame.decode() for each in sent[5:]]
    assert [each.kind for each in session.problems] == ["items_unconfirmed"]
    assert session_after(LIVE, *sent[:MAX_UNCONFIRMED]).problems == ()
