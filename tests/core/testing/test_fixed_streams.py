"""What ordinary code takes for granted is found in every run, not by luck."""

from __future__ import annotations

from typing import Any, cast

import pytest

from duologue.core import Record, events
from duologue.core.testing import Fault, check_reducer, script, to_records
from duologue.core.testing.fixed_streams import AWAY, always
from duologue.core.testing.stream_faults import SPARED, sparing

from .test_streams import every_turn

Texts = dict[str, str]


def texts(known: Texts, record: Record) -> Texts:
    """Wants an item to be announced before it has words."""
    match record.event:
        case events.ResponseOutputItemAdded(item=item):
            return {**known, str(item.id): ""}
        case events.ResponseOutputTextDelta(item_id=item_id, delta=delta):
            return {**known, item_id: known[item_id] + delta}
        case _:
            return known


def second(last: int, record: Record) -> int:
    """Wants a time."""
    return int(cast(float, record.at))


def spent(total: int, record: Record) -> int:
    """Wants usage of every response."""
    event: Any = record.event
    is_done = event.type == "response.done"
    return total + event.response.usage.total_tokens if is_done else total


def spent_on_whole(total: int, record: Record) -> int:
    """Wants usage of a response that was not cut off."""
    event: Any = record.event
    is_done = event.type == "response.done"
    is_whole = is_done and event.response.status == "completed"
    return total + event.response.usage.total_tokens if is_whole else total


def complaint(last: str, record: Record) -> str:
    """Wants an error to have words."""
    event: Any = record.event
    return event.error.message.upper() if event.type == "error" else last


@pytest.mark.parametrize("drawn", range(3))
@pytest.mark.parametrize(
    ("reducer", "initial", "what"),
    [
        (texts, {}, "KeyError"),
        (second, 0, "TypeError"),
        (spent, 0, "AttributeError"),
        (spent_on_whole, 0, "AttributeError"),
        (complaint, "", "AttributeError"),
    ],
)
def test_what_takes_for_granted_is_found_in_every_run(
    reducer: Any, initial: Any, what: str, drawn: int
) -> None:
    """Items without a first event, no times, no usage, no words: never by luck."""
    with pytest.raises(Fault, match=f"^{reducer.__name__} raised {what}") as found:
        check_reducer(reducer, initial)
    assert len(found.value.stream) == 1


def test_code_that_takes_nothing_for_granted_passes() -> None:
    """The control: the same sums with what may be missing left out."""

    def careful(total: int, record: Record) -> int:
        event = record.event
        if not isinstance(event, events.ResponseDone) or event.response.usage is None:
            return total
        return total + (event.response.usage.total_tokens or 0)

    check_reducer(careful, 0, examples=20)


def test_what_is_always_tried_has_everything() -> None:
    """Every kind of turn, and each field that may be missing in one of the streams."""
    legal = always()[1]
    types = {record.event.type for record in legal}
    every = {record.event.type for record in to_records(script(every_turn()).frames)}

    assert types == every
    assert sorted(name for names in AWAY for name in names) == sorted(SPARED)
    assert sum(map(len, always())) < 2_500


def test_what_is_no_object_has_no_fields_to_take() -> None:
    """A frame that cannot be read stays as it came."""
    usage = {"a": [{"code": 1}]}
    frames: list[dict[str, Any] | bytes]
    frames = [b'{"usage":', b"[1]", {"type": "x", "usage": usage}]
    taken = sparing(to_records(frames), ("usage", "code"))
    left_out = sparing(to_records(frames), ("code",), is_null=False)

    assert [record.frame for record in taken] == [
        b'{"usage":',
        b"[1]",
        b'{"type":"x","usage":null}',
    ]
    assert left_out[2].frame == b'{"type":"x","usage":{"a":[{}]}}'
