"""A session with another node; the same session where that would say the same."""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core.state.model import Activity, Connection, Session

__all__ = ["with_activity", "with_connection"]


def with_connection(session: Session, connection: Connection) -> Session:
    """The session with this connection; itself if it says the same."""
    if connection == session.connection:
        return session
    return replace(session, connection=connection)


def with_activity(session: Session, activity: Activity) -> Session:
    """The session with this activity; itself if it says the same."""
    if activity == session.activity:
        return session
    return replace(session, activity=activity)
