"""The direction in which records change the state, and the setters of the nodes."""

from __future__ import annotations

from typing import Any

import pytest
from immutables import Map
from msgspec.structs import replace

from duologue.core import (
    Item,
    Problem,
    Session,
    fold,
)
from duologue.core.reducer.handler import (
    add_problem,
    is_fact,
    put_activity,
    put_connection,
    put_item,
    put_problem,
    put_responses,
    put_turn,
    time_of,
)
from duologue.core.state.model import (
    Activity,
    Connection,
    Responses,
)

from ..talk import to_record, to_records


@pytest.mark.parametrize(
    ("type", "dir"),
    [
        ("response.created", "in"),
        ("response.create", "out"),
        ("duologue.muted", "local"),
        ("response.dreamt", "in"),
    ],
)
def test_things_count_from_where_they_come_from(type: str, dir: Any) -> None:
    """Server events count if received, client events if sent, local facts if local."""
    frame = {"type": type, "response": {}, "muted": True}

    assert [dir] == [
        way for way in ("in", "out", "local") if is_fact(to_record(frame, dir=way))
    ]


def test_an_item_takes_its_place() -> None:
    """The item replaces the one with its id; other items stay."""
    other, old, new = Item("o"), Item("i"), Item("i", role="user")
    session = Session("s", items=Map({"o": other, "i": old}))

    assert put_item(session, new) == Session("s", items=Map({"o": other, "i": new}))
    assert put_item(session, old) is session


def test_the_same_session_where_the_node_says_the_same() -> None:
    """An equal node gives the same session object."""
    session = Session("s")

    assert session is put_activity(session, Activity())
    assert session is put_connection(session, Connection())


def test_another_session_where_it_does_not() -> None:
    """A changed node gives a new session that shares all other nodes."""
    session = Session("s")
    activity, connection = Activity(muted=True), Connection(epoch=1)

    assert Session("s", activity=activity) == put_activity(session, activity)
    assert Session("s", connection=connection) == put_connection(session, connection)


def test_a_reason_takes_the_place_of_the_bare_fact() -> None:
    """A problem replaces the one of the same kind and item; other problems stay."""
    bare, other = Problem("k", "failed", None, "i"), Problem("k", "oh", None, "j")
    session = add_problem(add_problem(Session("s"), other), bare)
    blamed = put_problem(session, Problem("k", "why", "c", "i", 5.0))

    assert blamed.problems == (other, Problem("k", "why", "c", "i"))
    assert put_problem(Session("s"), bare).problems == (bare,)


CREATED: Any = {"type": "response.created", "response": {"id": "r"}}


def test_times_that_are_known() -> None:
    """Equal turn times give the same session object."""
    session = fold(to_records([CREATED])).sessions["s"]
    response = session.responses.by_id["r"]

    assert put_turn(session, response, replace(response.turn)) is session
    later = replace(response.turn, first_text_at=9.0)
    after = put_turn(session, response, later)
    assert after.responses.by_id["r"] == replace(response, turn=later)


@pytest.mark.parametrize(
    ("at", "ticked", "expected"),
    [
        (5.0, None, 5.0),
        (5.0, 4.0, 5.0),
        (5.0, 6.0, 6.0),
        (None, 6.0, 6.0),
        (None, None, None),
    ],
)
def test_when_a_wait_begins(
    at: float | None, ticked: float | None, expected: float | None
) -> None:
    """It begins with the record, but not before the last tick."""
    session = Session("s", activity=Activity(last_tick_at=ticked))

    assert time_of(session, to_record(CREATED, at=at)) == expected


def test_the_same_responses() -> None:
    """Equal responses give the same session object; others replace them."""
    session = Session("s")
    responses = Responses(active="r")

    assert put_responses(session, Responses()) is session
    assert put_responses(session, responses) == Session("s", responses=responses)
