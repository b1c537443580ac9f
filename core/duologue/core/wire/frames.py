"""The arguments of `Store.feed`: the encoding of frames, and checks."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, cast, get_args

import msgspec

from ..argument_checks import require
from ..events.base import Event
from ..log.record import Direction
from .codec import encode

__all__ = ["DIRECTIONS", "MAX_TIME", "as_bytes", "check"]

#: The directions of a record.
DIRECTIONS = get_args(Direction)
#: Limit of a time in seconds. Below it, a float can hold every whole second.
MAX_TIME = 2.0**53


def as_bytes(frame: object) -> bytes:
    """The bytes of a frame, encoded as JSON if it is an event or a mapping.

    Raises TypeError for a frame of another type, ValueError if it cannot be JSON.
    """
    if isinstance(frame, bytes):
        return frame
    if isinstance(frame, str):
        # The bytes of a lone surrogate are not UTF-8, so the frame is malformed.
        return frame.encode(errors="surrogatepass")
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


def check(session_id: Any, at: Any, dir: object, epoch: Any, src: str | None) -> None:
    """Check that a record, and a line of a log, can hold these values.

    Raises TypeError for an argument of another type, ValueError for a wrong value.
    """
    require(session_id, str, "feed: session_id")
    require(src, (str, NoneType), "feed: src")
    for text in (session_id, src):
        if isinstance(text, str) and not text.isascii():
            _check_text(text)
    if dir not in DIRECTIONS:
        raise ValueError(f"dir is {dir!r}, it must be 'in', 'out' or 'local'")
    if at is not None:
        _check_time(at)
    # True is an int, but not an epoch.
    require(epoch, int, "feed: epoch")
    if epoch is True or epoch < 0:
        raise ValueError(f"epoch is {epoch}, it must be 0 or more")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} has a lone surrogate, no log holds it") from None


def _check_time(at: object) -> None:
    if isinstance(at, bool) or not isinstance(at, float | int):
        raise TypeError(f"at is seconds as a float, not {type(at).__name__}")
    if not -MAX_TIME < at < MAX_TIME:
        raise ValueError(f"at is {at}, it must be a time in seconds")
