"""A session with another node. The nodes that change often are made the cheap way."""

from __future__ import annotations

from duologue.core.frozen import changer, maker
from duologue.core.state import (
    Activity,
    Connection,
    Conversation,
    Ignored,
    Item,
    Ledger,
    Part,
    Placement,
    Response,
    Responses,
    Session,
    State,
    Tally,
    Turn,
)

__all__ = [
    "change_activity",
    "change_connection",
    "change_conversation",
    "change_ignored",
    "change_item",
    "change_ledger",
    "change_part",
    "change_placement",
    "change_response",
    "change_responses",
    "change_turn",
    "make_conversation",
    "make_item",
    "make_part",
    "make_placement",
    "make_responses",
    "make_session",
    "make_state",
    "make_tally",
    "with_activity",
    "with_connection",
    "with_conversation",
    "with_ledger",
    "with_responses",
    "with_tally",
]

change_activity = changer(Activity)
change_connection = changer(Connection)
change_conversation = changer(Conversation)
change_ignored = changer(Ignored)
change_item = changer(Item)
change_ledger = changer(Ledger)
change_part = changer(Part)
change_placement = changer(Placement)
change_response = changer(Response)
change_responses = changer(Responses)
change_turn = changer(Turn)

make_conversation = maker(Conversation)
make_item = maker(Item)
make_part = maker(Part)
make_placement = maker(Placement)
make_responses = maker(Responses)
make_session = maker(Session)
make_state = maker(State)
make_tally = maker(Tally)


def with_connection(session: Session, connection: Connection) -> Session:
    """The session with this connection; itself if it says the same."""
    if connection == session.connection:
        return session
    return make_session(
        session.id,
        connection,
        session.items,
        session.conversation,
        session.responses,
        session.activity,
        session.ledger,
        session.tally,
    )


def with_conversation(session: Session, conversation: Conversation) -> Session:
    """The session with this conversation, which is another one."""
    return make_session(
        session.id,
        session.connection,
        session.items,
        conversation,
        session.responses,
        session.activity,
        session.ledger,
        session.tally,
    )


def with_responses(session: Session, responses: Responses) -> Session:
    """The session with these responses, which are others."""
    return make_session(
        session.id,
        session.connection,
        session.items,
        session.conversation,
        responses,
        session.activity,
        session.ledger,
        session.tally,
    )


def with_activity(session: Session, activity: Activity) -> Session:
    """The session with this activity; itself if it says the same."""
    if activity == session.activity:
        return session
    return make_session(
        session.id,
        session.connection,
        session.items,
        session.conversation,
        session.responses,
        activity,
        session.ledger,
        session.tally,
    )


def with_ledger(session: Session, ledger: Ledger) -> Session:
    """The session with this ledger, which is another one."""
    return make_session(
        session.id,
        session.connection,
        session.items,
        session.conversation,
        session.responses,
        session.activity,
        ledger,
        session.tally,
    )


def with_tally(session: Session, tally: Tally) -> Session:
    """The session with this tally, which is another one."""
    return make_session(
        session.id,
        session.connection,
        session.items,
        session.conversation,
        session.responses,
        session.activity,
        session.ledger,
        tally,
    )
