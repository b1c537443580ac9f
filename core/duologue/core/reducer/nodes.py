"""A session with another node. The nodes that change often are made the cheap way."""

from __future__ import annotations

from duologue.core.frozen import changer, maker, setter
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
    "make_item",
    "make_part",
    "make_placement",
    "make_state",
    "make_tally",
    "with_activity",
    "with_by_id",
    "with_connection",
    "with_conversation",
    "with_items",
    "with_ledger",
    "with_order",
    "with_parts",
    "with_placement",
    "with_responses",
    "with_tally",
    "with_text",
    "with_turn",
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

make_item = maker(Item)
make_part = maker(Part)
make_placement = maker(Placement)
make_state = maker(State)
make_tally = maker(Tally)

with_conversation = setter(Session, "conversation")
with_items = setter(Session, "items")
with_by_id = setter(Responses, "by_id")
with_ledger = setter(Session, "ledger")
with_order = setter(Conversation, "order")
with_parts = setter(Item, "parts")
with_responses = setter(Session, "responses")
with_placement = setter(Item, "placement")
with_tally = setter(Session, "tally")
with_text = setter(Part, "text")
with_turn = setter(Response, "turn")

_with_activity = setter(Session, "activity")
_with_connection = setter(Session, "connection")


def with_connection(session: Session, connection: Connection) -> Session:
    """The session with this connection; itself if it says the same."""
    if connection == session.connection:
        return session
    return _with_connection(session, connection)


def with_activity(session: Session, activity: Activity) -> Session:
    """The session with this activity; itself if it says the same."""
    if activity == session.activity:
        return session
    return _with_activity(session, activity)
