"""The ``session.update`` of a connection whose request carried no configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["ANSWERS", "PATIENCE", "configuration_update", "is_answer"]

#: Maximum seconds to wait for the answer before audio is sent.
PATIENCE = 5.0
#: The events that confirm or refuse a ``session.update``.
ANSWERS = ("session.updated", "error")


class _Peek(msgspec.Struct):
    """The field that `is_answer` reads of an event."""

    type: str = ""


_PEEK = msgspec.json.Decoder(_Peek)


def configuration_update(session: Mapping[str, Any]) -> str | None:
    """The event that sends a configuration; None if there is nothing to configure.

    A ``session.update`` cannot set the model.
    """
    fields = {name: session[name] for name in session if name != "model"}
    if not fields.keys() - {"type"}:
        return None
    update = {"type": "session.update", "event_id": "configuration", "session": fields}
    return msgspec.json.encode(update, enc_hook=dict).decode()


def is_answer(frame: str | bytes) -> bool:
    """Whether an event confirms or refuses a ``session.update``."""
    try:
        return _PEEK.decode(frame).type in ANSWERS
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
