"""Answers to requests: errors, and no answer in time."""

from __future__ import annotations

import pytest

from duologue.core import Problem, Record, Session
from duologue.core.reducer.requests.answers import REQUEST_TIMEOUT, request_deadlines
from duologue.core.reducer.requests.in_flight import MAX_WITHDRAWN

from ...talk import POLICY, Frame, to_record
from .records import CREATE, OPEN, created, failed, out, session_after, wished
from .test_sent_events import EARLIER, INVALID, A, B

BUSY_CODE = "conversation_already_has_active_response"


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


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("code", ["bad_response_create", BUSY_CODE])
def test_an_error_without_an_id_refuses_a_request_out_of_band(
    code: str, count: int
) -> None:
    """It refuses the first one, if no request for the conversation is in flight."""
    aside = out({"type": "response.create", "response": {"conversation": "none"}})
    responses = session_after(created(), *[aside] * count, failed(code=code)).responses

    assert (len(responses.out_of_band), responses.queued) == (count - 1, None)


def test_an_error_that_names_something_else() -> None:
    """An unknown event id is kept, without an `origin`."""
    (problem,) = session_after(failed(event_id="?")).problems

    assert (problem.event_id, problem.origin) == ("?", None)


@pytest.mark.parametrize(("at", "expected"), [(7.0, 7.0), (None, 9.0)])
def test_an_expired_session(at: float | None, expected: float) -> None:
    """The error sets `expires_at` to its own time, if it has one."""
    greeting = {"type": "session.created", "session": {"expires_at": 9}}
    error = {"type": "error", "error": {"code": "session_expired"}}
    session = session_after(to_record(greeting), to_record(error, at=at))

    assert expected == session.connection.expires_at


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


def test_a_request_that_was_refused_as_too_early() -> None:
    """It is sent again ten seconds after its refusal."""
    error = {"code": ACTIVE, "event_id": "c1"}
    busy = to_record({"type": "error", "error": error}, at=100.0)
    queued = [OPEN, out(CREATE, at=99.0), busy]

    assert list(request_deadlines(session_after(OPEN))) == []
    assert list(request_deadlines(session_after(*queued))) == [110.0]
    assert list(request_deadlines(at_tick(109.0, *queued))) == [110.0]
    assert list(request_deadlines(at_tick(110.0, *queued))) == []


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


BOTH: list[Record] = [
    OPEN,
    out(
        {
            "type": "session.update",
            "event_id": "u1",
            "session": {"type": "realtime", "instructions": "x", "tools": []},
        },
        at=100.0,
    ),
    out({**CREATE, "response": {"metadata": {"a": "b"}, "tools": []}}, at=100.0),
]


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        ({"event_id": "c1"}, "create"),
        ({"event_id": "u1"}, "update"),
        ({"event_id": "?", "code": "bad_response_create"}, ""),
        ({"code": "bad_response_create"}, "create"),
        ({"type": "bad_response_create"}, "create"),
        ({"param": "response.tools"}, "create"),
        ({"param": "session.tools[0].name"}, "update"),
        # Only one of them has the field.
        ({"param": "metadata"}, "create"),
        ({"param": "instructions"}, "update"),
        ({"param": "tools"}, ""),
        ({"param": "speed"}, ""),
        ({}, ""),
    ],
)
def test_the_request_that_an_error_refuses(error: Frame, refused: str) -> None:
    """The one that it names; else the only one that it can concern, or none."""
    session = session_after(*BOTH, failed(**error))
    left = session.responses.in_flight, session.connection.updates_in_flight

    assert [bool(each) for each in left] == [refused != "create", refused != "update"]


ACTIVE = "conversation_already_has_active_response"


@pytest.mark.parametrize(
    ("records", "queued"),
    [
        ([out(CREATE)], '{"type":"response.create"}'),
        ([created(), out(CREATE)], '{"type":"response.create"}'),
        ([out(CREATE), created()], '{"type":"response.create"}'),
    ],
)
@pytest.mark.parametrize("error", [{"code": ACTIVE}, {"type": ACTIVE}])
def test_a_request_during_another_response(
    records: list[Record], queued: str | None, error: Frame
) -> None:
    """It is queued again, even if that response was taken for its answer."""
    responses = session_after(OPEN, *records, failed(**error)).responses

    assert (responses.queued, responses.in_flight) == (queued, None)


@pytest.mark.parametrize(
    ("errors", "problems"),
    [
        ([{"event_id": "ea"}], ["ea"]),
        # Its predecessor was refused: it is sent again.
        ([{"event_id": "ea"}, {"event_id": "eb"}], ["ea"]),
        # A service answers in order.
        ([INVALID, INVALID], [None]),
        ([{**INVALID, "param": "session.voice"}], [None]),
    ],
)
def test_an_error_about_a_restored_item(
    errors: list[Frame], problems: list[str | None]
) -> None:
    """It is a problem unless the item is sent again."""
    before = session_after(*EARLIER, A, B).problems
    after = session_after(*EARLIER, A, B, *(failed(**each) for each in errors)).problems

    assert after[: len(before)] == before
    assert [each.event_id for each in after[len(before) :]] == problems


def test_a_tick_that_is_much_too_late() -> None:
    """This process slept, so the answers may be waiting: the waits begin anew."""
    frame: Frame = {"type": "session.update", "session": {"type": "realtime"}}
    sent = [OPEN, out(CREATE, at=100.0), out(frame, at=100.0), out(frame, at=3595.0)]
    slept = at_tick(3600.0, *sent)
    late = to_record({"type": "duologue.tick"}, at=3600.0)
    after = at_tick(3610.0, *sent, late)

    assert slept.problems == ()
    assert list(request_deadlines(slept)) == [3610.0, 3610.0]
    assert [each.origin for each in after.problems] == [CREATE["type"], frame["type"]]


def asked(item_id: str) -> Record:
    fact: Frame = {"type": "duologue.requested", "event": CREATE, "item_id": item_id}
    return to_record(fact)


def typed(item_id: str, event_id: str) -> Record:
    item = {"id": item_id, "type": "message", "role": "user", "content": []}
    event: Frame = {"type": "conversation.item.create", "item": item}
    return wished({**event, "event_id": event_id})


REFUSED = failed(event_id="ea", message="no")
TIMES = [to_record({"type": "duologue.tick"}, at=at) for at in (0.0, 10.0)]
BUSY = failed(code="conversation_already_has_active_response", message="busy")
LATE = "the service did not answer response.create within 10 s"
AFTER = failed(message="later")


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([out(CREATE), failed(event_id="c1", message="bad"), AFTER], {"a": "bad"}),
        ([out(CREATE), *TIMES, AFTER], {"a": LATE}),
        ([out(CREATE), *[BUSY, out(CREATE)] * 2, BUSY, AFTER], {"a": "busy"}),
        ([out(CREATE), BUSY, AFTER], {}),
        # The message itself is refused, before or after its request is answered.
        ([REFUSED, AFTER], {"a": "no"}),
        ([out(CREATE), REFUSED, AFTER], {"a": "no"}),
        ([out(CREATE), created(), REFUSED, AFTER], {"a": "no"}),
        ([failed(event_id="?"), failed(message="no")], {}),
    ],
)
def test_why_a_message_failed(records: list[Record], expected: dict[str, str]) -> None:
    """The reason is the problem of its own, or of its request."""
    session = session_after(OPEN, typed("a", "ea"), asked("a"), *records)
    responses = session.responses
    answers = [each.answers for each in responses.by_id.values()]
    waiting = (*responses.queued_items, *responses.in_flight_items, *sum(answers, ()))

    assert dict(responses.failed) == expected
    assert ("a" in waiting) == (not expected)


def test_a_message_that_the_joined_session_has() -> None:
    """It is sent again, and refused because it arrived before: it has not failed."""
    joined = [
        to_record({"type": "duologue.connecting", "policy": POLICY}),
        to_record({"type": "duologue.connected"}),
        OPEN,
        typed("a", "ea"),
        to_record({"type": "duologue.disconnected", "lost": True, "can_repeat": True}),
        to_record({"type": "duologue.connecting"}, epoch=1),
        to_record({"type": "duologue.connected", "rejoins": True}, epoch=1),
    ]
    session = session_after(*joined)

    assert session.connection.rejoined
    assert session_after(*joined, REFUSED).responses.failed == ()


def test_only_so_many_failed_messages_are_kept() -> None:
    """The last ones are kept."""
    many = [asked(str(n)) for n in range(MAX_WITHDRAWN + 5)]
    session = session_after(OPEN, *many, out(CREATE), failed(event_id="c1"))

    assert len(session.responses.failed) == MAX_WITHDRAWN
    assert session.responses.failed[0][0] == "5"


CALL: Frame = {"id": "i", "type": "function_call", "call_id": "c", "name": "f"}
CALLED = to_record(
    {
        "type": "conversation.item.done",
        "item": {**CALL, "arguments": "{}", "status": "completed"},
    }
)
OUTPUT = out(
    {
        "type": "conversation.item.create",
        "event_id": "e",
        "item": {"id": "o", "type": "function_call_output", "call_id": "c"},
    }
)


@pytest.mark.parametrize(
    ("before", "error", "expected"),
    [
        ([CALLED], {"event_id": "e"}, ("the output of f (c) was refused: m", "i")),
        (
            [CALLED],
            {"param": "item.output"},
            ("the output of f (c) was refused: m", "i"),
        ),
        ([CALLED], INVALID, ("the output of f (c) was refused: m", "i")),
        ([CALLED], {"type": "server_error"}, ("m", None)),
        ([CALLED], {**INVALID, "code": "bad_response_create"}, ("m", None)),
        ([CALLED], {"event_id": "x"}, ("m", None)),
        ([], {"event_id": "e"}, ("m", None)),
    ],
)
def test_a_refused_output(
    before: list[Record], error: Frame, expected: tuple[str, str | None]
) -> None:
    """The problem names the tool and the call, and the item of the call."""
    session = session_after(OPEN, *before, OUTPUT, failed(message="m", **error))
    (problem,) = session.problems
    assert (problem.message, problem.item_id) == expected


def test_a_refused_output_of_a_call_that_is_not_known_yet() -> None:
    """The problem has its ``call_id``."""
    call = out({"type": "conversation.item.create", "item": CALL})
    session = session_after(OPEN, call, OUTPUT, failed(message="m", event_id="e"))
    (problem,) = session.problems
    assert problem.message == "the output of c was refused: m"
