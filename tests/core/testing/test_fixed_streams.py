"""Common mistakes are found in every run."""

from __future__ import annotations

from typing import Any, cast

import pytest

from duologue.core import Record, events
from duologue.core.testing import Fault, check_reducer, script, to_records
from duologue.core.testing.fixed_streams import AWAY, always
from duologue.core.testing.mutations import OPTIONAL, without

from .test_streams import every_turn

Texts = dict[str, str]


def texts(known: Texts, record: Record) -> Texts:
    """A reducer that requires an item to be announced before its text."""
    match record.event:
        case events.ResponseOutputItemAdded(item=item):
            return {**known, str(item.id): ""}
        case events.ResponseOutputTextDelta(item_id=item_id, delta=delta):
            return {**known, item_id: known[item_id] + delta}
        case _:
            return known


def second(last: int, record: Record) -> int:
    """A reducer that requires a time."""
    return int(cast(float, record.at))


def spent(total: int, record: Record) -> int:
    """A reducer that requires usage in every response."""
    event: Any = record.event
    is_done = event.type == "response.done"
    return total + event.response.usage.total_tokens if is_done else total


def spent_on_whole(total: int, record: Record) -> int:
    """A reducer that requires usage in a completed response."""
    event: Any = record.event
    is_done = event.type == "response.done"
    is_whole = is_done and event.response.status == "completed"
    return total + event.response.usage.total_tokens if is_whole else total


def complaint(last: str, record: Record) -> str:
    """A reducer that requires an error to have a message."""
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
def test_common_mistakes_are_found_in_every_run(
    reducer: Any, initial: Any, what: str, drawn: int
) -> None:
    """Common mistakes are found with one record, in every run."""
    with pytest.raises(Fault, match=f"^{reducer.__name__} raised {what}") as found:
        check_reducer(reducer, initial)
    assert len(found.value.stream) == 1


def test_careful_code_passes() -> None:
    """Control: code that accepts missing fields passes."""

    def careful(total: int, record: Record) -> int:
        event = record.event
        if not isinstance(event, events.ResponseDone) or event.response.usage is None:
            return total
        return total + (event.response.usage.total_tokens or 0)

    check_reducer(careful, 0, examples=20)


def test_the_fixed_streams_hold_everything() -> None:
    """They have every kind of turn, and omit each optional field once."""
    legal = always()[1]
    types = {record.event.type for record in legal}
    every = {record.event.type for record in to_records(script(every_turn()).frames)}

    assert types == every
    assert sorted(name for names in AWAY for name in names) == sorted(OPTIONAL)
    assert sum(map(len, always())) < 2_500


def test_the_fixed_streams_are_the_same_each_time() -> None:
    """They are made once; a second time would give the same records."""
    assert always() is always()
    assert always.__wrapped__() == always()


def test_fields_are_removed_from_objects_only() -> None:
    """Fields are removed from objects; an invalid frame stays unchanged."""
    usage = {"a": [{"code": 1}]}
    frames: list[dict[str, Any] | bytes]
    frames = [b'{"usage":', b"[1]", {"type": "x", "usage": usage}]
    taken = without(to_records(frames), ("usage", "code"))
    left_out = without(to_records(frames), ("code",), is_null=False)

    assert [record.frame for record in taken] == [
        b'{"usage":',
        b"[1]",
        b'{"type":"x","usage":null}',
    ]
    assert left_out[2].frame == b'{"type":"x","usage":{"a":[{}]}}'
