"""Each rule that was wrong for some services is found if it is put back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from duologue.core import events
from duologue.core.reducer import calls, items, ordering, parts, responses
from duologue.core.reducer.identity import output_ids, uses
from duologue.core.reducer.requests import answers
from duologue.core.state.model import Call, CallLink, Item, Session
from duologue.core.testing import Fault, check_services


def link_by_call_id(session: Session, item: Item, call: Call, call_id: str) -> Session:
    """A ``call_id`` means one call, the last one."""
    known = session.conversation.calls.get(call_id) or CallLink()
    link = replace(known, call=item.id)
    found = replace(
        session.conversation, calls=session.conversation.calls.set(call_id, link)
    )
    return replace(session, conversation=found)


def same(*_: Any) -> bool:
    """An id always means the item that has it."""
    return True


def by_id(session: Session, id: str, _: Any) -> tuple[Session, str]:
    """An id always means the item or the response that has it."""
    return session, id


def null_is_front(_: Session, item: Item, previous: Any) -> Any:
    """The predecessor that the service names, and the front if it is null."""
    return previous


def grow_part(session: Session, item: Item, index: int, text: str) -> Session | None:
    """A partial transcript continues the part with its index."""
    return parts.grow_text(session, item, index, "input_audio", text)


def as_told(session: Session, wire: Any, _: Any) -> tuple[Session, Any]:
    """The conversation is the one that the service names."""
    return session, wire


#: A habit, the object and the name of a function, and its old rule.
OLD_RULES: dict[str, tuple[str, object, str, Any]] = {
    "a call_id of an earlier connection is that call": (
        *("call_ids_again", calls, "_link_function"),
        link_by_call_id,
    ),
    "a call_id of an earlier response is that call": (
        *("call_ids_per_response", calls, "_link_function"),
        link_by_call_id,
    ),
    "a call is the message with its item id": (
        *("item_ids_shared", uses, "can_be"),
        same,
    ),
    "an item is that of an earlier response": (
        *("item_ids_per_response", uses, "can_be"),
        same,
    ),
    "an item is that of an earlier connection": (
        *("item_ids_again", output_ids, "find_item"),
        by_id,
    ),
    "a response is that of an earlier connection": (
        *("response_ids_again", output_ids, "find_response"),
        by_id,
    ),
    "a response that begins can have ended": (
        *("one_response_id", output_ids, "next_response"),
        by_id,
    ),
    "a null predecessor means the front": (
        *("null_predecessors", ordering, "_predecessor"),
        null_is_front,
    ),
    "a content index of a partial transcript is that of its part": (
        *("growing_indexes", items, "grow_partial"),
        grow_part,
    ),
    "a response without a conversation is out of band": (
        *("no_conversation", responses, "resolve_conversation"),
        as_told,
    ),
    "a refused output is awaited": (
        *("output_refused", answers, "_refused_output"),
        lambda session, error: None,
    ),
    "an error that is a string is none": (
        *("mcp_error_text", events.McpCallError, "TEXT"),
        None,
    ),
}


@pytest.mark.parametrize("name", OLD_RULES)
def test_an_old_rule_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services with the habit find the old rule, and accept the present one."""
    habit, owner, attribute, old = OLD_RULES[name]
    check_services(habits=[habit], turns=3, examples=10)

    monkeypatch.setattr(owner, attribute, old)
    with pytest.raises(Fault, match=habit):
        check_services(habits=[habit], turns=3, examples=10)
