"""What is sent under replay, held against what was sent when it was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from duologue.core.log.record import Record

from ...errors import ReplayDrift

__all__ = ["Comparison", "Sends", "first_difference"]

#: How what is sent is compared: the events, their types, not at all.
Sends = Literal["strict", "order", "ignore"]

#: Characters of a value that a message shows.
_SHOWN = 60


class Comparison:
    """The events that a recording has sent, and how many of them were sent again.

    Ids that a client chooses are not compared; where it names one again, it has to be
    the same thing.
    """

    def __init__(self, expected: Sequence[Record], how: Sends) -> None:
        self._expected = expected
        self._how = how
        #: Our names for what the recording names otherwise.
        self._names: dict[str, str] = {}
        self.sent = 0

    @property
    def next(self) -> Record | None:
        """What is to be sent next."""
        if self.sent < len(self._expected):
            return self._expected[self.sent]
        return None

    def take(self, frame: str) -> None:
        """Compare the next event. Raises `ReplayDrift` with the first difference."""
        expected = self.next
        self.sent += 1
        if self._how == "ignore":
            return
        if expected is None:
            raise ReplayDrift(
                f"event {self.sent} is {_kind(frame)}: "
                f"the recording has no more than {len(self._expected)}"
            )
        wanted, got = _fields(expected.frame), _fields(frame)
        if self._how == "order":
            wanted, got = wanted.get("type"), got.get("type")
        else:
            self._learn(wanted, got)
            wanted, got = _plain(wanted), self._renamed(_plain(got))
        if wanted != got:
            raise ReplayDrift(
                f"event {self.sent} differs from record {expected.seq} of the "
                f"recording: {first_difference(wanted, got)}"
            )

    def _learn(self, wanted: Any, got: Any) -> None:
        for one, other in ((wanted, got), (wanted.get("item"), got.get("item"))):
            if isinstance(one, dict) and isinstance(other, dict):
                for key in ("event_id", "id"):
                    if isinstance(one.get(key), str) and isinstance(
                        other.get(key), str
                    ):
                        self._names[other[key]] = one[key]

    def _renamed(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: self._names.get(each, each)
                if isinstance(each, str) and key.endswith("id")
                else self._renamed(each)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self._renamed(each) for each in value]
        return value


def _fields(frame: bytes | str) -> Any:
    try:
        fields = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        fields = None
    if isinstance(fields, dict):
        return fields
    # What is no event is compared as it is.
    text = frame if isinstance(frame, str) else frame.decode(errors="replace")
    return {"type": None, "frame": text}


def _kind(frame: str) -> Any:
    return _fields(frame).get("type")


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """An event without the ids that its client chose, and without audio."""
    plain = {key: fields[key] for key in fields if key not in ("event_id", "audio")}
    item = plain.get("item")
    if isinstance(item, dict):
        item = {key: item[key] for key in item if key != "id"}
        if isinstance(item.get("content"), list):
            item["content"] = [_silent(part) for part in item["content"]]
        plain["item"] = item
    return plain


def _silent(part: Any) -> Any:
    # A log has its audio left out.
    if not isinstance(part, dict) or "audio" not in part:
        return part
    return {key: part[key] for key in part if key != "audio"}


def first_difference(wanted: Any, got: Any, path: str = "$") -> str:
    """Where two JSON values differ first, and how, in one line."""
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        for key in [*wanted, *(key for key in got if key not in wanted)]:
            if key not in got:
                return f"at {path}.{key}: recorded {_short(wanted[key])}, sent nothing"
            if key not in wanted:
                return f"at {path}.{key}: recorded nothing, sent {_short(got[key])}"
            if wanted[key] != got[key]:
                return first_difference(wanted[key], got[key], f"{path}.{key}")
    if isinstance(wanted, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(wanted, got, strict=False)):
            if one != other:
                return first_difference(one, other, f"{path}[{index}]")
    return f"at {path}: recorded {_short(wanted)}, sent {_short(got)}"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
