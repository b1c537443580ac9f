"""Strict reading of YAML files; the only user of PyYAML.

An error message is a single line with the file name, the line number and the key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import attrs
import yaml

from duologue.transports.errors import DuologueError

__all__ = ["List", "Mapping", "Node", "Reader", "Scalar", "YamlError", "load", "parse"]

Node = yaml.Node
Mapping = yaml.MappingNode
List = yaml.SequenceNode
Scalar = yaml.ScalarNode

_LONGEST_WAIT = 600.0
_Read = TypeVar("_Read", bound="Reader")
_T = TypeVar("_T")


class YamlError(DuologueError):
    """A file is invalid; the message names the file, the line and the key."""


@attrs.frozen
class Reader:
    """Converts YAML nodes to values. Its methods raise ``error`` for invalid nodes."""

    name: str
    error: type[YamlError]

    def fail(self, node: Node | None, key: str, why: str) -> NoReturn:
        """Raise the error, with the line of the node."""
        line = 1 if node is None else node.start_mark.line + 1
        raise self.error(f"{self.name}, line {line}: {key}: {why}")

    def document(self, root: Node | None, key: str, *optional: str) -> dict[str, Node]:
        """The keys and values of the file, which must include ``key``."""
        if root is None:
            self.fail(root, key, "the file is empty")
        found = self.mapping(root, key, {key, *optional})
        if key not in found:
            self.fail(root, key, "is missing")
        return found

    def mapping(
        self, node: Node, key: str, allowed: set[str] | None
    ) -> dict[str, Node]:
        """Keys and values; each key at most once, and only allowed ones."""
        if not isinstance(node, Mapping):
            self.fail(node, key, "a mapping is needed here")
        found: dict[str, Node] = {}
        for name, value in node.value:
            if not isinstance(name, Scalar):
                self.fail(name, key, "a key must be a scalar")
            if allowed is not None and name.value not in allowed:
                words = ", ".join(sorted(allowed))
                self.fail(name, name.value, f"there is no such key; there are {words}")
            if name.value in found:
                self.fail(name, name.value, "is given twice")
            found[name.value] = value
        return found

    def short(
        self, node: Node, key: str, needed: str, **read: Callable[[Node, str], Any]
    ) -> dict[str, Any]:
        """The values of a mapping, or of ``needed`` alone if the node is a scalar."""
        if isinstance(node, Scalar):
            return {needed: read[needed](node, key)}
        found = self.mapping(node, key, set(read))
        if needed not in found:
            self.fail(node, key, f"{needed} is missing")
        return {name: read[name](each, name) for name, each in found.items()}

    def sequence(self, node: Node, key: str) -> list[Node]:
        """The elements of a list, at least one."""
        if not isinstance(node, List) or not node.value:
            self.fail(node, key, "a list is needed here")
        return list(node.value)

    def one_or_more(self, node: Node, key: str) -> list[Node]:
        """The elements of a list, at least one, or the value itself."""
        if isinstance(node, List) and not node.value:
            self.fail(node, key, "the list is empty")
        return list(node.value) if isinstance(node, List) else [node]

    def text(self, node: Node, key: str) -> str:
        """The text of a scalar, as in the file."""
        if not isinstance(node, Scalar):
            self.fail(node, key, "a text is needed here")
        return str(node.value)

    def truth(self, node: Node, key: str) -> bool:
        """A boolean."""
        value = self.plain(node, key)
        if not isinstance(value, bool):
            self.fail(node, key, "true or false is needed here")
        return value

    def number(
        self, node: Node, key: str, least: float, most: float, of: str = "a number"
    ) -> float:
        """A number from ``least`` to ``most``."""
        value = self.plain(node, key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(node, key, f"{of} is needed here")
        if not least <= value <= most:
            self.fail(node, key, f"{of} from {least:g} to {most:g} is needed here")
        return float(value)

    def count(self, node: Node, key: str, least: int, most: int) -> int:
        """An integer from ``least`` to ``most``."""
        value = self.plain(node, key)
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(node, key, "a whole number is needed here")
        return int(self.number(node, key, least, most, "a whole number"))

    def seconds(self, node: Node, key: str) -> float:
        """A duration in seconds, 600 at most."""
        return self.number(node, key, 0, _LONGEST_WAIT, "a number of seconds")

    def plain(self, node: Node, key: str) -> Any:
        """The value of the YAML type: a number, a boolean, a date, …"""
        try:
            return yaml.SafeLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):
            self.fail(node, key, "this value cannot be read")


def load(path: str | Path, what: str, error: type[YamlError]) -> str:
    """The text of a file. Raises ``error`` if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as cause:
        why = getattr(cause, "strerror", None) or "it is not UTF-8 text"
        raise error(f"cannot read the {what} {path}: {why}") from cause


def parse(text: str, reader: _Read, read: Callable[[_Read, Node | None], _T]) -> _T:
    """Call ``read`` with the root node of a text. Raises the reader's error."""
    try:
        return read(reader, yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or "it is not YAML"
        raise reader.error(f"{reader.name}{line}: {why}") from error
    except RecursionError as error:
        raise reader.error(f"{reader.name}: it is nested too deeply") from error
