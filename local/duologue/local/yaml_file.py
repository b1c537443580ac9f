"""Strict reading of YAML files; the only user of PyYAML.

An error message is a single line with the file name, the line number and the key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import attrs
import msgspec
import yaml
from msgspec import inspect

from duologue.transports.errors import DuologueError

__all__ = ["Map", "Text", "YamlError", "YamlFile", "listed", "texts_in"]

_T = TypeVar("_T")
#: A message of msgspec, and the path in it.
_PLACE = re.compile(r"(.*?)(?: - at `\$([^`]*)`)?\Z", re.DOTALL)
_UNKNOWN = re.compile("Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile("Object missing required field `(.*)`")
#: The types in such a message, in the words of YAML.
_TYPES = {
    **{"array": "a list", "object": "a mapping", "str": "a text"},
    **{"float": "a number", "int": "a whole number", "bool": "true or false"},
}


class YamlError(DuologueError):
    """A file is invalid; the message names the file, the line and the key."""


class Text(str):
    """A scalar as in the file, with its line."""

    line: int


class Map(dict[str, Any]):
    """A mapping with its first line, and the line of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


@attrs.frozen
class YamlFile:
    """A file with a mapping; ``what`` describes it, ``key`` is its main key.

    Scalars are texts; below ``typed`` keys some are numbers, booleans and nulls. The
    methods raise ``error``.
    """

    path: str | Path
    what: str
    error: type[YamlError]
    key: str
    typed: Collection[str]

    def read(self) -> Map:
        """The content: a mapping with `Map`, lists and `Text` in it."""
        try:
            text = Path(self.path).read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            found = Map(1) if root is None else self._value(root, self.key, False)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise self.error(
                f"cannot read the {self.what} {self.path}: {why}"
            ) from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark is not None else ""
            why = getattr(error, "problem", None) or "it is not YAML"
            raise self.error(f"{self.path}{line}: {why}") from error
        except RecursionError as error:
            raise self.error(f"{self.path}: it is nested too deeply") from error
        if not isinstance(found, Map):
            self.fail(1, self.key, "a mapping is needed here")
        return found

    def convert(self, found: Map, kind: type[_T]) -> _T:
        """The content as a struct of msgspec."""
        try:
            return msgspec.convert(found, kind)
        except msgspec.ValidationError as error:
            why, path = _PLACE.findall(str(error))[0]
            value: Any = found
            line, key = found.line, self.key
            steps = re.findall(r"\.(\w+)|\[(\d+)\]", path)
            for name, index in steps:
                if name:
                    line, key = cast(Map, value).lines[name], name
                value = cast(Any, value)[name or int(index)]
                line = value.line if isinstance(value, Map | Text) else line
            if unknown := _UNKNOWN.fullmatch(why):
                line, key = cast(Map, value).lines[unknown[1]], unknown[1]
                keys = _keys(kind, [name for name, _ in steps if name])
                self.fail(line, key, f"there is no such key; there are {keys}")
            why = _MISSING.sub(r"\1 is missing", why)
            self.fail(line, key, re.sub("`([^`]*)`", _in_words, why))

    def fail(self, line: int, key: str, why: str) -> NoReturn:
        """Raise the error."""
        raise self.error(f"{self.path}, line {line}: {key}: {why}")

    def _value(self, node: yaml.Node, key: str, typed: bool) -> Any:
        line = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self._value(each, key, typed) for each in node.value]
        if isinstance(node, yaml.MappingNode):
            found = Map(line)
            for name, each in node.value:
                line = name.start_mark.line + 1
                if not isinstance(name, yaml.ScalarNode):
                    self.fail(line, key, "a key must be a scalar")
                text = str(self._text(name, key))
                if text in found:
                    self.fail(line, text, "is given twice")
                of_type = typed or text in self.typed
                found[text] = self._value(each, text, of_type)
                found.lines[text] = line
            return found
        text = self._text(node, key)
        if typed:
            try:
                value = yaml.SafeLoader("").construct_object(node)
            except (yaml.YAMLError, ValueError):
                self.fail(line, key, "this value cannot be read")
            if value is None or isinstance(value, bool | int | float):
                return value
        return text

    def _text(self, node: yaml.Node, key: str) -> Text:
        """The text, with one character for each surrogate pair (as JSON escapes it)."""
        line = node.start_mark.line + 1
        try:
            utf_16 = node.value.encode("utf-16-le", "surrogatepass")
            text = Text(utf_16.decode("utf-16-le"))
        except UnicodeDecodeError:
            self.fail(line, key, "half a surrogate pair is not a character")
        text.line = line
        return text


def _in_words(found: re.Match[str]) -> str:
    return " or ".join(_TYPES.get(name, name) for name in found[1].split(" | "))


def _keys(kind: type, path: list[str]) -> str:
    """The keys of the mapping that follows these keys in a file of this kind."""
    structs = list(_structs(inspect.type_info(kind)))
    for name in path:
        fields = [field for struct in structs for field in struct.fields]
        types = [field.type for field in fields if field.name == name]
        structs = [struct for each in types for struct in _structs(each)]
    return ", ".join(sorted({each.name for it in structs for each in it.fields}))


def _structs(node: inspect.Type) -> Iterator[inspect.StructType]:
    if isinstance(node, inspect.StructType):
        yield node
    elif isinstance(node, inspect.ListType):
        yield from _structs(node.item_type)
    elif isinstance(node, inspect.UnionType):
        for each in node.types:
            yield from _structs(each)


def texts_in(value: Any, key: str) -> Iterator[tuple[str, Text]]:
    """All texts in the value of a key, each with the key that is nearest to it."""
    if isinstance(value, Text):
        yield key, value
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each, key)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from texts_in(each, name)


def listed(value: _T | list[_T] | None) -> list[_T]:
    """The elements of a list, or a value alone, or nothing."""
    return value if isinstance(value, list) else [] if value is None else [value]
