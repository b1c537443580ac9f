"""Reads fault files; the format is described in ``docs/faults.md``."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from duologue.core.events import ServerEvent

from ..yaml_file import List, Node, Reader, YamlError, load, parse
from .injector import (
    TRANSCRIBED,
    Cut,
    Deed,
    Delay,
    Drop,
    Duplicate,
    Errors,
    Expire,
    Fail,
    Fault,
    Faults,
    Late,
    Mute,
    Orphan,
    Reorder,
    TimedDeed,
)

__all__ = ["FaultsError", "load_faults"]

#: Close codes that a service may send (RFC 6455, section 7.4), and 1006 for none.
_CODES = {*range(1000, 1004), *range(1006, 1015), *range(3000, 5000)}
_MOST = 1000
_LONGEST = 86_400.0
_TYPES = [str(event.__struct_config__.tag) for event in ServerEvent.__subclasses__()]


class FaultsError(YamlError):
    """A fault file is invalid; the message names the file, the line and the key."""


def load_faults(path: str | Path) -> Faults:
    """Read a fault file. Raises `FaultsError`."""
    text = load(path, "faults", FaultsError)
    return parse(text, _Reader(str(path), FaultsError), _Reader.faults)


class _Reader(Reader):
    """Reads the nodes of a fault file."""

    def faults(self, root: Node | None) -> Faults:
        top = self.document(root, "faults", "seed")
        seed = self.count(top["seed"], "seed", 0, 2**63) if "seed" in top else 0
        nodes = self.sequence(top["faults"], "faults")
        return Faults(tuple(map(self.fault, nodes)), seed)

    def fault(self, node: Node) -> Fault:
        fields = self.mapping(node, "faults", set(_CONDITIONS) | set(_DEEDS))
        deeds = [key for key in fields if key in _DEEDS]
        if not deeds:
            self.fail(node, "faults", f"a fault has one of {', '.join(_DEEDS)}")
        deed, *others = deeds
        if others:
            self.fail(
                fields[others[0]],
                others[0],
                f"a fault has one effect, here {deed}",
            )
        does = _DEEDS[deed](self, fields[deed], deed)
        values: dict[str, Any] = {
            name: read(self, fields[key], key)
            for key, (name, read) in _CONDITIONS.items()
            if key in fields
        }
        if isinstance(does, Fail):
            events = values.setdefault("events", (TRANSCRIBED,))
            if events != (TRANSCRIBED,):
                self.fail(
                    fields["event"], "event", f"fail applies only to {TRANSCRIBED}"
                )
        if isinstance(does, TimedDeed):
            if ("events" in values) is ("at" in values):
                self.fail(fields[deed], deed, "either event or at is required")
        elif "at" in values:
            self.fail(fields["at"], "at", f"not allowed with {deed}, which needs event")
        elif "events" not in values:
            self.fail(fields[deed], deed, "event is required")
        for key in ("nth", "chance"):
            if "at" in values and key in values:
                self.fail(fields[key], key, "not allowed with at")
        return Fault(does=does, **values)

    def events(self, node: Node, key: str) -> tuple[str, ...]:
        patterns = tuple(self.text(each, key) for each in self.one_or_more(node, key))
        for pattern in patterns:
            if not any(fnmatchcase(kind, pattern) for kind in _TYPES):
                self.fail(node, key, f"no service event matches {pattern}")
        return patterns

    def numbers(self, node: Node, key: str) -> frozenset[int]:
        nodes = self.one_or_more(node, key)
        return frozenset(self.count(each, key, 1, 1_000_000) for each in nodes)

    def probability(self, node: Node, key: str) -> float:
        return self.number(node, key, 0, 1)

    def moment(self, node: Node, key: str) -> float:
        return self.number(node, key, 0, _LONGEST, "a number of seconds")

    def span(self, node: Node, key: str) -> tuple[float, float]:
        """Seconds, or a list of minimum and maximum seconds."""
        if not isinstance(node, List):
            return (self.seconds(node, key),) * 2
        ends = [self.seconds(each, key) for each in node.value]
        if len(ends) != 2 or ends[0] > ends[1]:
            self.fail(node, key, "expected seconds, or [least, most] seconds")
        return ends[0], ends[1]

    def times(self, node: Node, key: str) -> int:
        return self.count(node, key, 1, _MOST)

    def sure(self, node: Node, key: str) -> None:
        if not self.truth(node, key):
            self.fail(node, key, "expected true")


def _failing(reader: _Reader, node: Node, key: str) -> Fail:
    texts = {"message": reader.text, "code": reader.text}
    return Fail(**reader.short(node, key, "message", **texts))


def _errors(reader: _Reader, node: Node, key: str) -> Errors:
    texts = {"code": reader.text, "message": reader.text, "type": reader.text}
    return Errors(**reader.short(node, key, "count", count=reader.times, **texts))


def _cut(reader: _Reader, node: Node, key: str) -> Cut | Mute:
    value = reader.plain(node, key)
    if value == "media":
        return Mute()
    if value is True:
        return Cut()
    if type(value) is not int or value not in _CODES:
        reader.fail(node, key, "expected true, media or a close code")
    return Cut(value)


def _sure(deed: Callable[[], Deed | TimedDeed]) -> _Read:
    def read(reader: _Reader, node: Node, key: str) -> Deed | TimedDeed:
        reader.sure(node, key)
        return deed()

    return read


_Read = Callable[[_Reader, Node, str], Deed | TimedDeed]
_DEEDS: dict[str, _Read] = {
    "drop": _sure(Drop),
    "delay": lambda reader, node, key: Delay(*reader.span(node, key)),
    "late": lambda reader, node, key: Late(*reader.span(node, key)),
    "duplicate": lambda reader, node, key: Duplicate(reader.times(node, key)),
    "reorder": lambda reader, node, key: Reorder(reader.times(node, key)),
    "fail": _failing,
    "orphan": _sure(Orphan),
    "errors": _errors,
    "expire": _sure(Expire),
    "cut": _cut,
}
_CONDITIONS: dict[str, tuple[str, Callable[[_Reader, Node, str], Any]]] = {
    "event": ("events", _Reader.events),
    "nth": ("nth", _Reader.numbers),
    "chance": ("chance", _Reader.probability),
    "at": ("at", _Reader.moment),
    "session": ("sessions", _Reader.numbers),
    "model": ("model", _Reader.text),
}
