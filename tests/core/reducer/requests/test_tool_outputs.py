"""Outputs of function calls that this client sends, and their refusals."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record, fold
from duologue.core.reducer.requests.tool_outputs import (
    find_call,
    keys_of,
    mark_call,
    mark_output,
    refuse_output,
    refused_call,
    unconfirmed_call,
)
from duologue.core.state.model import CallLink

from ...talk import Frame, to_record
from .records import out, session_after

CALL: Frame = {"type": "function_call", "id": "i", "call_id": "c", "name": "f"}
GIVEN: Frame = {"type": "function_call_output", "id": "o", "call_id": "c"}
MADE = to_record({"type": "conversation.item.added", "item": CALL})
SHOWN = to_record({"type": "conversation.item.added", "item": GIVEN})


def creates(item: Frame, **changes: object) -> Record:
    frame: Frame = {"type": "conversation.item.create", "item": {**item, **changes}}
    return out(frame)


@pytest.mark.parametrize(
    ("records", "link"),
    [
        ([creates(CALL)], CallLink(call_sent=True)),
        ([creates(CALL), MADE], CallLink("i", call_sent=True)),
        ([MADE, creates(GIVEN)], CallLink("i", output_sent=True)),
        ([MADE, creates(GIVEN), creates(GIVEN)], CallLink("i", output_sent=True)),
        ([creates(CALL), creates(GIVEN)], CallLink(call_sent=True, output_sent=True)),
        # Items that the session has are restored.
        ([MADE, creates(CALL)], CallLink("i")),
        ([MADE, SHOWN, creates(GIVEN)], CallLink("i", "o")),
        # The output of an unknown call, items without a call, and another item.
        ([creates(GIVEN)], None),
        ([creates(CALL, call_id=None)], None),
        ([creates(CALL, call_id="")], None),
        ([creates(CALL, type="message")], None),
    ],
)
def test_the_calls_and_outputs_of_this_client(
    records: list[Record], link: CallLink | None
) -> None:
    """A call and an output that this client creates are known as its own."""
    calls = session_after(*records).conversation.calls

    assert dict(calls) == ({} if link is None else {"c": link})


def listed(item_id: str, name: str = "f", response: str = "r") -> Frame:
    item: Frame = {**CALL, "id": item_id, "name": name, "arguments": "{}"}
    item["status"] = "completed"
    return {"type": "response.output_item.done", "response_id": response, "item": item}


def sends(name: str) -> Record:
    frame: Frame = {"type": "conversation.item.create", "event_id": f"e{name}"}
    return out({**frame, "item": {**GIVEN, "id": name}})


def test_each_output_is_of_the_next_call() -> None:
    """Of those with one ``call_id``, in their order; the same event is the same one."""
    made = [
        to_record(listed(name, f"f{name}"), at=float(n)) for n, name in enumerate("ijk")
    ]
    session = fold([*made, sends("x"), sends("y"), sends("y")]).sessions["s"]
    assert keys_of(session, "c") == ("c", "c/j", "c/k")
    links = session.conversation.calls
    sent = {key: link.output_event for key, link in links.items()}
    assert sent == {"c": "ex", "c/j": "ey", "c/k": None}
    assert mark_output(session, "c", "ez")[1] == "c/k"
    assert unconfirmed_call(session, "c") == "c"
    assert unconfirmed_call(session, "unknown") is None
    assert mark_output(session, None, None) == (session, None)
    assert [refused_call(session, f"e{name}") for name in "xyz"] == ["c", "c/j", None]
    assert refused_call(session, None) == "c"


def test_the_last_response_comes_first() -> None:
    """The calls of an earlier one were not answered, so they probably never are."""
    made = [("i", "f", "r"), ("j", "g", "r"), ("k", "f", "r2"), ("l", "g", "r2")]
    records = [to_record(listed(*each), at=float(n)) for n, each in enumerate(made)]
    session = fold(records).sessions["s"]
    assert mark_output(session, "c", "e")[1] == "c/k"


def test_an_output_that_is_refused() -> None:
    """Once: then it is not refused again, unless it is sent again."""
    records = [to_record(listed("i")), sends("x")]
    session = fold(records).sessions["s"]
    after = refuse_output(session, "c", "no")
    link = CallLink("i", output_sent=True, output_event="ex", output_refused=True)
    assert after.conversation.calls["c"] == link
    item = find_call(after, "c")
    assert item is not None
    assert item.call is not None
    assert item.call.error == "no"
    assert refused_call(after, "ex") is refused_call(after, None) is None
    again, _ = mark_output(after, "c", "ey")
    assert again.conversation.calls["c"] == CallLink(
        "i", output_sent=True, output_event="ey"
    )


def test_a_refusal_of_no_known_call() -> None:
    """A link without its item: only the link changes."""
    session = mark_call(EMPTY, "c")
    session, key = mark_output(session, "c", "e")
    assert key == "c"
    after = refuse_output(session, "c", "no")
    assert after.items is session.items
    assert find_call(after, "c") is None
    assert find_call(after, None) is None
    assert mark_call(after, None) is after


EMPTY: Any = fold([to_record({"type": "duologue.tick"})]).sessions["s"]
