"""A session with another node: the same session where the node says the same."""

from __future__ import annotations

import attrs

from duologue.core.state import Activity, Connection, Conversation, Session

__all__ = ["with_activity", "with_connection", "with_conversation"]


def with_activity(session: Session, activity: Activity) -> Session:
    """The session with this activity; itself if it says the same."""
    if activity == session.activity:
        return session
    return attrs.evolve(session, activity=activity)


def with_connection(session: Session, connection: Connection) -> Session:
    """The session with this connection; itself if it says the same."""
    if connection == session.connection:
        return session
    return attrs.evolve(session, connection=connection)


def with_conversation(session: Session, conversation: Conversation) -> Session:
    """The session with this conversation, which is another one."""
    return Session(
        session.id,
        session.connection,
        session.items,
        conversation,
        session.responses,
        session.activity,
        session.ledger,
        session.tally,
    )
