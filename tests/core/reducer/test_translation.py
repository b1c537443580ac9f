"""Translations: the source text and the translated text."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record, Session, SessionKind, dump, fold, load
from duologue.core.state.model import Translation
from duologue.core.state.rope import Rope

from ..talk import POLICY, Frame, audio, to_record

GREETING: Frame = {
    "type": "session.created",
    "session": {
        "type": "translation",
        "id": "t",
        "model": "m",
        "expires_at": 7,
        "audio": {"output": {"language": "de"}},
    },
}
CONFIG = (
    '{"audio":{"output":{"language":"de"}},"expires_at":7,"id":"t","model":"m",'
    '"type":"translation"}'
)
CLOSED: Frame = {"type": "session.closed"}


def said(text: str, ms: int | None = None) -> Frame:
    return {"type": "session.input_transcript.delta", "delta": text, "elapsed_ms": ms}


def meant(text: str, ms: int | None = None) -> Frame:
    return {"type": "session.output_transcript.delta", "delta": text, "elapsed_ms": ms}


def voiced(count: int) -> Frame:
    return {"type": "session.output_audio.delta", "delta": audio(count)}


def after(*frames: Frame | Record) -> Session:
    records = [f if isinstance(f, Record) else to_record(f) for f in frames]
    return fold(records).sessions["s"]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([GREETING], Translation(confirmed=CONFIG)),
        ([GREETING, GREETING], Translation(confirmed=CONFIG)),
        ([said("he"), said("llo", 40)], Translation(Rope("hello"), input_ms=40)),
        (
            [meant("ha", 60), meant("llo", 40)],
            Translation(Rope(), Rope("hallo"), None, 60),
        ),
        ([said("", -5), meant("", 2**70)], Translation()),
        ([said("a"), said("")], Translation(Rope("a"))),
        ([voiced(9), voiced(6)], Translation(audio_bytes=15)),
        ([said("a"), CLOSED], Translation(Rope("a"), closed=True)),
        (
            [said("a"), CLOSED, said("b"), meant("c")],
            Translation(Rope("a"), closed=True),
        ),
        (
            [
                {"type": "session.created", "session": {"type": "translation"}},
                said("a"),
            ],
            Translation(Rope("a"), confirmed='{"type":"translation"}'),
        ),
    ],
)
def test_two_running_texts(frames: list[Frame], expected: Translation) -> None:
    """Deltas append to both texts; their positions never decrease."""
    assert expected == after(*frames).conversation.translation


def test_the_greeting() -> None:
    """``session.created`` opens the session with its kind, id and expiry."""
    connection = after(GREETING).connection

    assert (
        connection.status,
        connection.kind,
        connection.server_id,
        connection.expires_at,
    ) == ("open", SessionKind.TRANSLATION, "t", 7.0)


def test_the_end() -> None:
    """``session.closed`` ends the session; a disconnect after it is no problem."""
    session = after(GREETING, CLOSED, {"type": "duologue.disconnected"})

    assert (session.connection.status, session.problems) == ("closed", ())
    assert after(GREETING, CLOSED, said("late")).dedup.late == 1


def test_a_connection_that_is_past() -> None:
    """Session events of an earlier connection change nothing."""
    newer = to_record({"type": "duologue.connected"}, epoch=1)

    assert after(newer, GREETING).connection.kind == SessionKind.REALTIME
    assert after(newer, CLOSED).connection.status == "open"


def test_it_goes_on_in_the_next_epoch() -> None:
    """The texts stay on the next connection, and its deltas append to them."""
    again = to_record({"type": "session.updated", "session": GREETING["session"]})
    empty = Record.of(
        '{"type":"session.updated"}',
        seq=1,
        session="s",
        dir="in",
        epoch=1,
        kind=SessionKind.TRANSLATION,
    )
    session = after(GREETING, again, said("a"), CLOSED, empty, said("b"))

    assert Translation(Rope("ab"), confirmed=CONFIG) == session.conversation.translation


def test_a_delta_that_says_nothing_changes_nothing() -> None:
    """An empty delta keeps the node object."""
    before = fold([to_record(said("a", 5))])
    same = fold([to_record(said("", 5)), to_record(meant(""))], before)

    assert before.sessions["s"].conversation is same.sessions["s"].conversation


def test_it_comes_back_from_its_bytes() -> None:
    """A loaded dump is equal to the state."""
    state = fold(map(to_record, (GREETING, said("a", 1), meant("b", 2), voiced(3))))

    assert state == load(dump(state))


def test_it_has_no_items() -> None:
    """A translation has no items and no responses."""
    session: Any = after(GREETING, said("a"), meant("b"))

    assert (len(session.items), len(session.responses.by_id)) == (0, 0)


def test_the_successor_of_a_translation() -> None:
    """Its id and expiry are kept until it is used; the texts go on."""
    facts: list[tuple[Frame, int]] = [
        ({"type": "duologue.connecting", "policy": POLICY}, 0),
        ({"type": "duologue.connected"}, 0),
        (GREETING, 0),
        (said("he"), 0),
        ({"type": "duologue.connecting", "successor": True}, 1),
        ({"type": "duologue.connected", "successor": True}, 1),
        ({**GREETING, "session": {"type": "translation", "id": "u"}}, 1),
    ]
    records = [to_record(frame, epoch=epoch) for frame, epoch in facts]
    waiting = after(*records)
    used = after(*records, to_record({"type": "duologue.switched"}, epoch=1))
    dialing = waiting.connection.dialing
    assert dialing is not None

    assert (waiting.connection.server_id, dialing.server_id) == ("t", "u")
    assert dialing.greeted
    assert (used.connection.server_id, used.connection.expires_at) == ("u", None)
    assert used.connection.kind is SessionKind.TRANSLATION
    assert used.conversation.translation == waiting.conversation.translation
