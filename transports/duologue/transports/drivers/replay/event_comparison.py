"""Compares the events sent under replay with the recorded ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from duologue.core.log.record import Record

from ...errors import ReplayDrift
from .recorded_session import event_fields, event_type

__all__ = ["EventComparison", "Sends", "first_difference"]

#: How sent events are compared: completely, by type only, or not at all.
Sends = Literal["strict", "order", "ignore"]

#: Maximum length of a value in a message, in characters.
_SHOWN = 60


class EventComparison:
    """The sent events of a recording, and how many the client has sent again.

    Ids that the client chooses are not compared. A later reference to such an id must
    name the same object.
    """

    def __init__(self, expected: Sequence[Record], how: Sends) -> None:
        self._expected = expected
        self._how = how
        #: The recorded id for each id that the client has chosen.
        self._recorded_ids: dict[str, str] = {}
        self.sent = 0

    @property
    def next(self) -> Record | None:
        """The next expected event."""
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
                f"event {self.sent} is {event_type(frame)}: "
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
                    recorded, sent = one.get(key), other.get(key)
                    if isinstance(recorded, str) and isinstance(sent, str):
                        self._recorded_ids[sent] = recorded

    def _renamed(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: self._recorded_ids.get(each, each)
                if isinstance(each, str) and key.endswith("id")
                else self._renamed(each)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self._renamed(each) for each in value]
        return value


def _fields(frame: bytes | str) -> Any:
    fields = event_fields(frame)
    if fields is not None:
        return fields
    text = frame if isinstance(frame, str) else frame.decode(errors="replace")
    return {"type": None, "frame": text}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """An event without audio and without the ids that its client chose."""
    plain = {key: fields[key] for key in fields if key not in ("event_id", "audio")}
    item = plain.get("item")
    if isinstance(item, dict):
        item = {key: item[key] for key in item if key != "id"}
        if isinstance(item.get("content"), list):
            item["content"] = [_silent(part) for part in item["content"]]
        plain["item"] = item
    return plain


def _silent(part: Any) -> Any:
    # A log has no audio.
    if not isinstance(part, dict) or "audio" not in part:
        return part
    return {key: part[key] for key in part if key != "audio"}


def first_difference(wanted: Any, got: Any, path: str = "$") -> str:
    """The first difference between two JSON values, in one line."""
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
