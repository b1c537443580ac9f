"""The transition tables of connections, responses and items."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import LocalEventType, RealtimeEventType, SessionStatus
from duologue.core.state.transitions import CONNECTION, ITEM, RESPONSE, next_status

TABLES = {"connection": CONNECTION, "response": RESPONSE, "item": ITEM}
TYPES = {t.value for t in (*RealtimeEventType, *LocalEventType)}
every = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@every
def test_triggers_begin_with_an_event_type(table: Any) -> None:
    """Every trigger begins with an event type, for the diagrams."""
    assert set() == {trigger.split()[0] for _, trigger in table} - TYPES


@every
def test_every_transition_changes_something(table: Any) -> None:
    """No transition leads to its own state."""
    assert [pair for pair, state in table.items() if pair[0] == state] == []


@every
def test_a_miss_leaves_the_state_alone(table: Any) -> None:
    """A trigger without a transition leaves the state unchanged."""
    assert next_status(table, "nowhere", "nothing") == "nowhere"


def test_every_state_can_be_reached() -> None:
    """Every state is reachable from the first one."""
    assert set(SessionStatus) == reached(CONNECTION, SessionStatus.CONNECTING)
    assert reached(RESPONSE, "in_progress") == {
        *("in_progress", "completed", "cancelled", "failed", "incomplete")
    }
    assert reached(ITEM, "in_progress") == {
        *("in_progress", "completed", "incomplete", "failed", "deleted")
    }


def reached(table: Any, first: str) -> set[str]:
    """The states that are reachable from the first one."""
    found, left = {first}, [first]
    while left:
        state = left.pop()
        for (before, _), then in table.items():
            if before == state and then not in found:
                found.add(then)
                left.append(then)
    return found


def test_nothing_follows_a_tombstone_or_an_ended_response() -> None:
    """A deleted item and an ended response have no transitions."""
    assert "deleted" not in {state for state, _ in ITEM}
    assert {state for state, _ in RESPONSE} == {"in_progress"}
