"""The arguments of `Store.feed`: frame types, and values that a log can hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from duologue.core import Store, events, read_log, to_line
from duologue.core.wire.frames import as_bytes, check

FRAME = {"type": "output_audio_buffer.clear"}
TEXT = b'{"type":"output_audio_buffer.clear"}'


@pytest.mark.parametrize(
    "frame",
    [
        TEXT,
        TEXT.decode(),
        bytearray(TEXT),
        memoryview(TEXT),
        FRAME,
        MappingProxyType(FRAME),
        events.OutputAudioBufferClear(),
    ],
)
def test_what_an_event_comes_as(frame: object) -> None:
    """A frame can be any type of bytes, a mapping or an event."""
    assert as_bytes(frame) == TEXT


def test_text_that_is_not_utf8_becomes_bytes() -> None:
    """A lone surrogate keeps its bytes, which no decoder accepts as UTF-8."""
    assert as_bytes("\ud83d") == b"\xed\xa0\xbd"


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (5, TypeError, "a frame is bytes, str, a mapping or an event, not int; of an"),
        (None, TypeError, "a frame is bytes, str, a mapping or an event, not NoneType"),
        ({"type": object()}, ValueError, "a frame that cannot be JSON: "),
    ],
)
def test_what_is_no_event(frame: object, error: type[Exception], message: str) -> None:
    """A value that is no frame raises an error with the reason."""
    with pytest.raises(error) as refused:
        as_bytes(frame)
    assert str(refused.value).startswith(message)


RIGHT = {"session_id": "s", "at": 1.0, "dir": "in", "epoch": 0, "src": None}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"session_id": 3}, TypeError, "feed: session_id must be str, not int"),
        (
            {"session_id": "a\ud800"},
            ValueError,
            r"'a\ud800' has a lone surrogate, no log holds it",
        ),
        ({"src": 3}, TypeError, "feed: src must be str or NoneType, not int"),
        (
            {"src": "\udfff"},
            ValueError,
            r"'\udfff' has a lone surrogate, no log holds it",
        ),
        (
            {"dir": "inn"},
            ValueError,
            "dir is 'inn', it must be 'in', 'out' or 'local'",
        ),
        ({"dir": None}, ValueError, "dir is None, it must be 'in', 'out' or 'local'"),
        ({"at": "1"}, TypeError, "at is seconds as a float, not str"),
        ({"at": True}, TypeError, "at is seconds as a float, not bool"),
        (
            {"at": float("inf")},
            ValueError,
            "at is inf, it must be a time in seconds",
        ),
        (
            {"at": float("nan")},
            ValueError,
            "at is nan, it must be a time in seconds",
        ),
        (
            {"at": 10**20},
            ValueError,
            "at is 100000000000000000000, it must be a time in seconds",
        ),
        ({"epoch": "1"}, TypeError, "feed: epoch must be int, not str"),
        ({"epoch": -1}, ValueError, "epoch is -1, it must be 0 or more"),
        ({"epoch": True}, ValueError, "epoch is True, it must be 0 or more"),
    ],
)
def test_what_a_log_cannot_hold_is_refused(
    wrong: Mapping[str, Any], error: type[Exception], message: str
) -> None:
    """An argument that a log cannot hold raises an error that names it."""
    with pytest.raises(error) as refused:
        check(**{**RIGHT, **wrong})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"session_id": "Zoë 🦊"},
        {"src": "sideband"},
        {"at": None},
        {"at": 10**9},
        {"dir": "out"},
        {"epoch": 3},
    ],
)
def test_what_is_taken_can_be_written_and_read(right: dict[str, Any]) -> None:
    """An accepted record is the same after it is written and read."""
    given = {**RIGHT, **right}
    check(**given)
    record = Store().feed(given.pop("session_id"), TEXT, **given)
    assert list(read_log([to_line(record)])) == [record]
