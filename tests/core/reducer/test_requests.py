"""Requests of the application: queued, in flight, acknowledged or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue.core import Problem, Record, Session, fold
from duologue.core.reducer.requests import (
    MAX_SENT,
    MAX_UNCONFIRMED,
    REQUEST_TIMEOUT,
    clear_in_flight,
    request_deadlines,
    wanted_config,
)
from duologue.core.state.model import RestoredItem, SentEvent
from duologue.core.wire.codec import MAX_FRAME

from ..talk import POLICY, Frame, changed, message, to_record

CREATE: Frame = {"type": "response.create", "event_id": "c1"}
ASIDE: Frame = {
    "type": "response.create",
    "event_id": "c2",
    "response": {"conversation": "none"},
}


def out(frame: Frame, **how: Any) -> Record:
    return to_record(frame, dir="out", **how)


def wished(event: Frame) -> Record:
    return to_record({"type": "duologue.requested", "event": event})


def failed(**error: Any) -> Record:
    return to_record({"type": "error", "error": error})


def created(**response: Any) -> Record:
    response = {"id": "r", "conversation_id": "c", **response}
    return to_record({"type": "response.created", "response": response})


def session_after(*records: Record) -> Session:
    return fold(records).sessions["s"]


def state_of(*records: Record) -> tuple[str | None, bool]:
    responses = session_after(*records).responses
    return responses.queued, responses.in_flight is not None


WISH = '{"event_id":"c1","type":"response.create"}'
AGAIN = '{"type":"response.create"}'
ACTIVE = "conversation_already_has_active_response"
BUSY = failed(code=ACTIVE)
LOST = to_record({"type": "duologue.disconnected"})
LEFT = to_record({"type": "duologue.disconnected", "expected": True})
DONE = to_record(
    {"type": "response.done", "response": {"id": "r", "conversation_id": "c"}}
)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([wished(CREATE)], (WISH, False)),
        ([wished(CREATE), wished(CREATE)], (WISH, False)),
        ([wished(CREATE), out(CREATE)], (None, True)),
        ([out(CREATE), out(CREATE)], (None, True)),
        ([wished(ASIDE)], (None, False)),
        ([wished(CREATE), out(ASIDE)], (WISH, False)),
        ([wished({"type": "input_audio_buffer.clear"})], (None, False)),
        ([to_record(CREATE)], (None, False)),
        ([out(CREATE), created()], (None, False)),
        ([out(CREATE), created(conversation_id=None)], (None, True)),
        ([out(CREATE), DONE], (None, False)),
        ([out(CREATE), created(), out(CREATE), DONE], (None, True)),
        ([out(CREATE), failed(event_id="c1")], (None, False)),
        ([out(CREATE), out(ASIDE), failed(event_id="c2")], (None, True)),
        ([out(CREATE), failed(event_id="?")], (None, True)),
        ([out(CREATE), failed(code="bad_response_create")], (None, False)),
        ([out(CREATE), failed(code="invalid_value")], (None, True)),
        # The connection was lost before the response.
        ([out(CREATE), LOST], (AGAIN, False)),
        ([out(CREATE), created(), LOST], (None, False)),
        ([out(CREATE), wished(CREATE), LOST], (WISH, False)),
        ([out(CREATE), LEFT], (None, False)),
        # The service began a response of its own first.
        ([out(CREATE), created(), out(CREATE), BUSY], (AGAIN, False)),
        ([created(), out(CREATE), BUSY, DONE], (AGAIN, False)),
        ([created(), out(CREATE), wished(CREATE), BUSY], (WISH, False)),
        ([created(), out(ASIDE), failed(event_id="c2", code=ACTIVE)], (None, False)),
        # No response is known to be active: a retry would be refused again and again.
        ([out(CREATE), BUSY], (None, False)),
        (
            [out(CREATE), to_record({"type": "duologue.connected"}, epoch=1)],
            (AGAIN, False),
        ),
    ],
)
def test_a_response_wished_for(records: list[Record], expected: Any) -> None:
    """A request is queued, in flight once sent, and answered or lost."""
    assert expected == state_of(*records)


@pytest.mark.parametrize(
    "config", [{"type": "realtime", "voice": "x"}, {"type": "translation"}]
)
def test_the_configuration_that_went_out(config: Frame) -> None:
    """A sent configuration is the requested one, even if it was not queued."""
    update = {"type": "session.update", "session": config}
    sent = session_after(out(update)).connection.requested

    assert session_after(out(update), wished(update)).connection.requested is not None
    assert sent is not None
    assert '"type":"' in sent


def test_a_change_of_the_configuration() -> None:
    """A change is merged into the requested configuration; other settings stay."""
    update = {"type": "session.update", "session": {"voice": "x", "tools": [1]}}
    change = {"type": "session.update", "session": {"tools": [], "model": "m"}}

    assert session_after(wished(update), out(change)).connection.requested == (
        '{"model":"m","tools":[],"type":"realtime","voice":"x"}'
    )


def test_a_wish_is_kept_in_one_spelling() -> None:
    """It is kept as canonical JSON, so live and replayed states are equal."""
    one = {"type": "session.update", "session": {"b": 1, "a": {"d": 2, "c": 3}}}

    assert session_after(wished(one)).connection.requested == (
        '{"a":{"c":3,"d":2},"b":1}'
    )


@pytest.mark.parametrize(
    "event", [{}, {"type": "session.update"}, {"type": "session.update", "session": 5}]
)
def test_wishes_for_nothing(event: Frame) -> None:
    """A request without a valid event changes nothing."""
    assert changed(Session("s"), session_after(wished(event))) == []


def test_an_error_is_traced_to_what_we_sent() -> None:
    """The event id in the error gives the type of the sent event, its `origin`."""
    delete = {"type": "conversation.item.delete", "item_id": "i", "event_id": "e1"}
    session = session_after(out(delete), failed(message="m", code="c", event_id="e1"))

    assert session.problems == (
        Problem(
            "error",
            "m",
            "c",
            at=0.0,
            event_id="e1",
            origin="conversation.item.delete",
        ),
    )


def test_an_error_that_names_something_else() -> None:
    """An unknown event id is kept, without an `origin`."""
    (problem,) = session_after(failed(event_id="?")).problems

    assert (problem.event_id, problem.origin) == ("?", None)


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


@pytest.mark.parametrize(("at", "expected"), [(7.0, 7.0), (None, 9.0)])
def test_an_expired_session(at: float | None, expected: float) -> None:
    """The error sets `expires_at` to its own time, if it has one."""
    greeting = {"type": "session.created", "session": {"expires_at": 9}}
    error = {"type": "error", "error": {"code": "session_expired"}}
    session = session_after(to_record(greeting), to_record(error, at=at))

    assert expected == session.connection.expires_at


def test_an_answer_to_nothing() -> None:
    """Without a request in flight, the session stays the same object."""
    session = Session("s")

    assert session is clear_in_flight(session)


def asked(item_id: str) -> Record:
    """A request for the answer to a message."""
    fact: Frame = {"type": "duologue.requested", "event": CREATE, "item_id": item_id}
    return to_record(fact)


@pytest.mark.parametrize(
    ("records", "queued", "in_flight"),
    [
        ([asked("a")], "a", ""),
        ([asked("a"), asked("b")], "ab", ""),
        ([asked("a"), wished(CREATE)], "a", ""),
        ([asked("a"), out(CREATE)], "", "a"),
        ([asked("a"), out(CREATE), asked("b")], "b", "a"),
        ([asked("a"), out(CREATE), asked("b"), out(CREATE)], "", "ab"),
        ([asked("a"), out(CREATE), asked("b"), created()], "b", ""),
        ([asked("a"), out(CREATE), failed(event_id="c1")], "", ""),
        ([asked("a"), out(CREATE), asked("b"), LOST], "ab", ""),
        ([created(), asked("a"), out(CREATE), BUSY], "a", ""),
    ],
)
def test_the_messages_that_a_request_answers(
    records: list[Record], queued: str, in_flight: str
) -> None:
    """They are queued, sent and queued again with it; a refusal drops them."""
    responses = session_after(*records).responses

    assert responses.queued_items == tuple(queued)
    assert responses.in_flight_items == tuple(in_flight)


OPEN = to_record({"type": "session.created", "session": {"type": "realtime"}})
INTERRUPTED = to_record({"type": "duologue.interrupted"})
SPEAKS = to_record({"type": "input_audio_buffer.speech_started", "item_id": "u"})
STOPS = to_record({"type": "input_audio_buffer.speech_stopped", "item_id": "u"})
PLAYS = to_record({"type": "output_audio_buffer.started", "response_id": "r"})


@pytest.mark.parametrize(
    ("records", "queued", "in_flight", "cancelling", "dismissed", "stopping"),
    [
        ([OPEN], False, False, False, None, []),
        # The command to send the request was given, so it counts as sent.
        ([OPEN, asked("a")], False, True, True, None, []),
        ([OPEN, out(CREATE)], False, True, True, None, []),
        # Not sent yet: there is no connection, a response, or a turn of the user.
        ([asked("a")], False, False, False, None, []),
        ([OPEN, created(), asked("a")], False, False, False, None, [True]),
        ([OPEN, SPEAKS, asked("a")], False, False, False, None, []),
        ([OPEN, SPEAKS, STOPS, asked("a")], False, False, False, "u", []),
        ([OPEN, created(), PLAYS, DONE], False, False, False, None, [True]),
        ([OPEN, created(), PLAYS, INTERRUPTED], False, False, False, None, [True]),
        # Both what is in progress and the next response.
        ([OPEN, created(), out(CREATE)], False, True, True, None, [True]),
        ([OPEN, out(CREATE), asked("a"), INTERRUPTED], False, True, True, None, []),
    ],
)
def test_an_interruption(
    records: list[Record],
    queued: bool,
    in_flight: bool,
    cancelling: bool,
    dismissed: str | None,
    stopping: list[bool],
) -> None:
    """It withdraws what is queued and marks what is in flight or in progress."""
    responses = session_after(*records, INTERRUPTED).responses

    assert (responses.queued is not None, responses.in_flight is not None) == (
        queued,
        in_flight,
    )
    assert (responses.cancelling, responses.dismissed_item) == (cancelling, dismissed)
    assert [each.stopping for each in responses.by_id.values()] == stopping


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([out(CREATE)], (True, True)),
        ([out(CREATE), out(CREATE)], (True, True)),
        ([out(CREATE), failed(event_id="c1")], (False, False)),
        ([out(CREATE), LOST], (False, False)),
        ([out(CREATE), failed(event_id="c1"), out(CREATE)], (True, False)),
        ([STOPS, out(CREATE)], (True, False)),
    ],
)
def test_what_follows_an_interruption(
    records: list[Record], expected: tuple[bool, bool]
) -> None:
    """Only requests in flight then are cancelled; they are not queued again."""
    first, *rest = records
    responses = session_after(OPEN, first, INTERRUPTED, *rest).responses

    assert (responses.in_flight is not None, responses.cancelling) == expected
    assert responses.queued is None
    assert responses.dismissed_item is None


X, Y, Z = ({"instructions": name} for name in "xyz")
LOW: Frame = {"max_output_tokens": 9}
MODEL: Frame = {"model": "m"}


def wish(*configs: Frame) -> Record:
    return wished({"type": "session.update", "session": merge(*configs)})


def update(*configs: Frame, event_id: str | None = None) -> Record:
    config = {"type": "realtime", **merge(*configs)}
    frame: Frame = {"type": "session.update", "session": config}
    return out(frame if event_id is None else {**frame, "event_id": event_id})


def merge(*configs: Frame) -> Frame:
    return {key: value for config in configs for key, value in config.items()}


UPDATED = to_record({"type": "session.updated", "session": {"type": "realtime"}})
REFUSED = failed(param="session.instructions")
AGAIN_OPEN = [
    to_record({"type": "duologue.disconnected", "retrying": True}),
    to_record({"type": "duologue.connecting"}, epoch=1),
    to_record({"type": "duologue.connected"}, epoch=1),
]


@pytest.mark.parametrize(
    ("records", "accepted", "changes", "wanted"),
    [
        ([wish(X)], None, ["queued"], X),
        ([wish(X), wish(X)], None, ["queued"], X),
        ([wish(X), wish(LOW)], None, ["queued", "queued"], merge(X, LOW)),
        ([wish(X), update(X)], None, ["sent"], X),
        ([wish(X), wish(LOW), update(LOW)], None, ["queued", "sent"], merge(X, LOW)),
        # The first answer also confirms the request to connect.
        ([wish(X), wish(LOW), update(LOW), UPDATED], merge(X, LOW), [], merge(X, LOW)),
        ([update(X), UPDATED, update(LOW), UPDATED], merge(X, LOW), [], merge(X, LOW)),
        # What is known already is restored, and changes nothing.
        ([update(X), UPDATED, update(X)], X, ["restored"], X),
        ([update(X), UPDATED, update(X, MODEL)], X, ["restored"], X),
        ([update(X), UPDATED, update(X), REFUSED], X, [], X),
        ([update(X), UPDATED, update(X), *AGAIN_OPEN], X, [], X),
        # A service answers in order.
        ([update(X), update(Y), UPDATED], X, ["sent"], Y),
        ([update(X), UPDATED, update(Y), update(LOW), REFUSED], X, ["sent"], None),
        ([update(X), UPDATED, update(Y), REFUSED], X, [], X),
        # The first one is refused: only its model stays.
        ([update(X, MODEL), REFUSED], MODEL, [], MODEL),
        ([wish(MODEL), update(X), REFUSED], None, ["queued"], MODEL),
        # By its id it can be any of them.
        (
            [
                *(update(X), UPDATED, update(Y, event_id="y")),
                *(update(LOW, event_id="low"), failed(event_id="low")),
            ],
            X,
            ["sent"],
            Y,
        ),
        ([UPDATED], None, [], {}),
        ([REFUSED], None, [], {}),
        # It is sent again on the next connection.
        ([update(X), UPDATED, update(Y), *AGAIN_OPEN], X, ["queued"], Y),
    ],
)
def test_changes_of_the_configuration(
    records: list[Record],
    accepted: Frame | None,
    changes: list[str],
    wanted: Frame | None,
) -> None:
    """Each is kept until it is accepted or refused; a refused one has no effect."""
    connection = session_after(*records).connection
    states = [
        "restored" if each.is_restored else "sent" if each.sent else "queued"
        for each in connection.changes
    ]

    def read(config: str) -> Frame:
        values: Frame = json.loads(config)
        values.pop("type", None)
        return values

    assert states == changes
    assert accepted == (connection.accepted and read(connection.accepted))
    assert read(wanted_config(connection)) == (
        merge(X, LOW) if wanted is None else wanted
    )


def test_the_kept_changes() -> None:
    """The first change is kept, as it can be the configuration of the session."""
    many = [wish({"instructions": str(n)}) for n in range(100)]
    kept = [each.config for each in session_after(*many).connection.changes]

    assert kept == [
        f'{{"instructions":"{n}"}}' for n in (0, *range(101 - MAX_SENT, 100))
    ]


def test_a_configuration_that_is_larger_than_a_frame() -> None:
    """The merged configuration can be larger than any change that is sent."""
    half = "x" * (MAX_FRAME * 3 // 5)
    first, second = {"instructions": half}, {"tracing": {"group_id": half}}
    sent = [update(first), UPDATED, update(second), UPDATED, update(LOW)]
    connection = session_after(*sent).connection
    wanted = json.loads(wanted_config(connection))

    assert [each.is_restored for each in connection.changes] == [False]
    assert wanted == {"type": "realtime", **merge(first, second, LOW)}


def at_tick(at: float, *records: Record) -> Session:
    return session_after(*records, to_record({"type": "duologue.tick"}, at=at))


def test_a_request_that_is_not_answered_in_time() -> None:
    """It is given up with a problem; a response that comes late is still cancelled."""
    sent = [OPEN, out(CREATE, at=100.0), to_record({"type": "duologue.interrupted"})]
    due = 100.0 + REQUEST_TIMEOUT
    before, after = at_tick(due - 0.1, *sent), at_tick(due, *sent)

    assert list(request_deadlines(before)) == [due]
    assert (before.responses.in_flight is not None, before.problems) == (True, ())
    assert (after.responses.in_flight, after.responses.cancelling) == (None, True)
    assert list(request_deadlines(after)) == []
    assert after.problems == (
        Problem(
            "request_unanswered",
            "the service did not answer response.create within 10 s",
            at=due,
            origin="response.create",
        ),
    )


def test_a_request_without_a_time() -> None:
    """Its wait begins at the next tick."""
    sent = [to_record({"type": "response.create"}, dir="out", at=None)]

    assert list(request_deadlines(session_after(OPEN, *sent))) == []
    assert list(request_deadlines(at_tick(7.0, OPEN, *sent))) == [17.0]


def test_an_update_that_is_not_answered_in_time() -> None:
    """Each has its own time; one without a time is not waited for."""
    frame: Frame = {"type": "session.update", "session": {"type": "realtime"}}
    sent = [OPEN, *(out(frame, at=at) for at in (100.0, 105.0, None))]
    before, after = at_tick(109.0, *sent), at_tick(112.0, *sent)

    assert before.connection.updates_in_flight == (100.0, 105.0)
    assert list(request_deadlines(before)) == [110.0]
    assert list(request_deadlines(after)) == [115.0]
    assert [(each.origin, each.at) for each in after.problems] == [
        ("session.update", 112.0)
    ]


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

    assert dict(session.conversation.restored) == expected
    assert len(session.problems) - len(before.problems) == problems


LIVE = to_record({"type": "duologue.connecting", "policy": POLICY})


def typed(item_id: str | None, event_id: str | None = None) -> Record:
    item = {**message("x", "user", []), "id": item_id}
    frame: Frame = {"type": "conversation.item.create", "item": item}
    return out({**frame, "event_id": event_id})


ECHO = to_record({"type": "conversation.item.added", "item": ITEMS[0]})


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([typed("a")], []),
        ([LIVE, typed("a"), typed("b")], ["a", "b"]),
        ([LIVE, typed("a"), typed("b"), typed("a")], ["b", "a"]),
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


def test_only_so_many_unconfirmed_items_are_kept() -> None:
    """The last ones are kept, each with its event."""
    sent = [typed(str(n)) for n in range(MAX_UNCONFIRMED + 5)]
    kept = session_after(LIVE, *sent).conversation.unconfirmed

    assert [each.event for each in kept] == [each.frame.decode() for each in sent[5:]]


def test_a_request_ends_the_wait_for_outputs() -> None:
    """It answers the outputs so far, even if it is refused."""
    item: Frame = {"type": "function_call_output", "call_id": "c", "output": "1"}
    frame: Frame = {"type": "conversation.item.create", "item": {**item, "id": "o"}}
    sent = [out(frame), to_record({**frame, "type": "conversation.item.added"})]
    ends = [out(CREATE), failed(event_id="c1")]

    assert session_after(*sent).conversation.last_output == "o"
    assert session_after(*sent, *ends).conversation.last_output is None
