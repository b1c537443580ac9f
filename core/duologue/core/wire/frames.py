"""What `Store.feed` takes: frames of any form, and only what a record can hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, cast, get_args

import msgspec

from ..arguments import require
from ..events.base import Event
from ..log.record import Direction
from .codec import encode

__all__ = ["FRAMES", "as_json", "check"]

#: What a frame can be that needs no encoding.
FRAMES = (bytes, str)
#: The ways that a record can go.
_WAYS = get_args(Direction)
#: More seconds than there will be, and few enough to be exact as a float.
_FOREVER = 1 << 53


def as_json(frame: object) -> bytes:
    """What is no text as the text of a frame.

    Raises TypeError for what is no event, ValueError for what cannot be JSON.
    """
    if isinstance(frame, bytearray | memoryview):
        return bytes(cast(bytearray, frame))
    if isinstance(frame, Event):
        return encode(frame)
    if not isinstance(frame, Mapping):
        raise TypeError(
            f"a frame is bytes, str, a mapping or an event, not {type(frame).__name__};"
            " of an SDK's object give its to_json() or model_dump_json()"
        )
    try:
        return msgspec.json.encode(dict(cast(Mapping[str, Any], frame)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a frame that cannot be JSON: {error}") from None


def check(
    session_id: object, at: object, dir: object, epoch: object, src: object
) -> None:
    """Refuse what a record, or a line of a log, cannot hold, before it is folded.

    Raises TypeError for an argument of another type, ValueError for a wrong one.
    """
    require(session_id, str, "feed: session_id")
    require(src, (str, NoneType), "feed: src")
    for text in (session_id, src):
        if isinstance(text, str) and not text.isascii():
            _check_text(text)
    if dir not in _WAYS:
        raise ValueError(f"dir is {dir!r}, it must be 'in', 'out' or 'local'")
    if at is not None:
        _check_time(at)
    # True is an int, but no number of a connection.
    require(epoch, int, "feed: epoch")
    if epoch is True or cast(int, epoch) < 0:
        raise ValueError(f"epoch is {epoch}, it must be 0 or more")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} has half of a character, no log holds it") from None


def _check_time(at: object) -> None:
    if isinstance(at, bool) or not isinstance(at, float | int):
        raise TypeError(f"at is seconds as a float, not {type(at).__name__}")
    if not -_FOREVER < at < _FOREVER:
        raise ValueError(f"at is {at}, it must be a time in seconds")
