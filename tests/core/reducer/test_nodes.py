"""A session with another node."""

from __future__ import annotations

from duologue.core import Session
from duologue.core.reducer.nodes import with_activity, with_connection
from duologue.core.state.model import Activity, Connection


def test_the_same_session_where_the_node_says_the_same() -> None:
    """So that "nothing changed" is a question of identity."""
    session = Session("s")

    assert session is with_activity(session, Activity())
    assert session is with_connection(session, Connection())


def test_another_session_where_it_does_not() -> None:
    """All its other nodes are the same objects."""
    session = Session("s")
    activity, connection = Activity(muted=True), Connection(epoch=1)

    assert Session("s", activity=activity) == with_activity(session, activity)
    assert Session("s", connection=connection) == with_connection(session, connection)
