"""The slow path of decoding: what the fast decoder refuses, taken as far as it goes.

A service that leaves out a field, sends null, or sends a wrong type where nobody
looks must not cost the words beside it. So an event is built field by field:

* missing or null: the field's default, or a neutral value of its type (``""``, ``0``,
  ``()``), unless the event says nothing without it (`ESSENTIAL`); a null in a list or
  as a mapping's value is left out;
* a wrong type in a field that the reducer reads (`READ`) would lie: `WrongType`;
* a wrong type anywhere else counts as missing;
* an item or content part of an unknown type becomes `UnknownItem`, `UnknownPart`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from ..events.items import UnknownItem, UnknownPart
from .json_values import is_array, is_object

__all__ = ["WrongType", "build"]

#: Without these an event points nowhere.
ESSENTIAL = frozenset({"item_id", "item", "response"})

#: What the reducer reads, by name: the same name means the same thing everywhere.
READ = frozenset(
    {
        *("item_id", "previous_item_id", "content_index", "call_id", "response_id"),
        *("item", "part", "response", "output", "content", "id", "role", "status"),
        *("delta", "text", "transcript", "arguments", "name", "output", "reason"),
        *("audio_start_ms", "audio_end_ms", "ms", "muted", "volume", "conversation_id"),
        *("input_tokens", "output_tokens", "text_tokens", "audio_tokens"),
        *("image_tokens", "cached_tokens", "total_tokens", "seconds", "approve"),
        *("metadata", "speaker", "start", "end"),
    }
)


class WrongType(Exception):
    """A field that is read has a type that it must not have."""


def build(cls: type, fields: dict[str, Any], path: str = "$") -> Any:
    """One ``cls`` (a msgspec Struct) from JSON values.

    Raises `WrongType`, with the path of the field.
    """
    values: dict[str, Any] = {}
    for field in _fields(cls):
        if (value := fields.get(field.encode_name, msgspec.UNSET)) is not msgspec.UNSET:
            try:
                values[field.name] = _value(
                    field.type, value, f"{path}.{field.encode_name}"
                )
                continue
            except WrongType:
                if value is not None and field.encode_name in READ:
                    raise
        if field.required:
            if field.encode_name in ESSENTIAL:
                raise WrongType(f"{path}.{field.encode_name} is missing")
            values[field.name] = _neutral(field.type)
    return cls(**values)


@cache
def _fields(cls: type) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _value(node: inspect.Type, value: Any, path: str) -> Any:
    """``value`` as ``node`` wants it. Raises `WrongType`."""
    match node:
        case inspect.UnionType(types=types):
            return _one_of(types, value, path)
        case inspect.StructType(cls=cls) if is_object(value):
            return build(cls, value, path)
        case inspect.VarTupleType(item_type=item) if is_array(value):
            return tuple(
                _value(item, one, f"{path}[{i}]")
                for i, one in enumerate(value)
                if not _is_missing(item, one)
            )
        case inspect.DictType(value_type=inner) if is_object(value):
            return {
                key: _value(inner, one, path)
                for key, one in value.items()
                if not _is_missing(inner, one)
            }
        case inspect.AnyType():
            return value
        case inspect.RawType():
            return msgspec.Raw(msgspec.json.encode(value))
        case _:
            return _scalar(node, value, path)


def _is_missing(node: inspect.Type, value: Any) -> bool:
    """Whether a value in a list or a mapping is a null that says nothing."""
    return value is None and not isinstance(node, inspect.AnyType)


_SCALARS: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.IntType: (int,),
    inspect.FloatType: (float, int),
    inspect.BoolType: (bool,),
    inspect.NoneType: (type(None),),
}


def _scalar(node: inspect.Type, value: Any, path: str) -> Any:
    wanted = _SCALARS.get(type(node), ())
    if isinstance(value, bool) and bool not in wanted:
        wanted = ()
    # A fraction of a ms is no lie, one of an index is.
    whole = isinstance(value, float) and (path.endswith("_ms") or value.is_integer())
    if whole and wanted == (int,):
        return int(value)
    if not isinstance(value, wanted):
        raise WrongType(f"{path}: unexpected {type(value).__name__}")
    if float not in wanted:
        return value
    number: Any = value
    try:
        return float(number)
    except OverflowError:
        raise WrongType(f"{path}: a number without end") from None


def _one_of(types: tuple[inspect.Type, ...], value: Any, path: str) -> Any:
    tagged = [t for t in types if isinstance(t, inspect.StructType) and t.tag]
    if tagged and is_object(value):
        return _tagged(tagged, value, path)
    for node in types:
        try:
            return _value(node, value, path)
        except WrongType:
            continue
    raise WrongType(f"{path}: unexpected {type(value).__name__}")


def _tagged(types: list[inspect.StructType], value: dict[str, Any], path: str) -> Any:
    name = value.get("type")
    for node in types:
        if node.tag == name:
            return build(node.cls, value, path)
    group = {node.cls.__mro__[1].__name__ for node in types}
    if group == {"ContentPart"}:
        return UnknownPart(name=str(name or ""), fields=value)
    if group == {"BaseItem"}:
        return _unknown_item(value, path)
    if len(group) == 1 and name is None:
        # Flat sessions and old servers leave the tag out: the first is the usual one.
        return build(types[0].cls, value, path)
    raise WrongType(f"{path}: unknown type {name!r}")


def _unknown_item(value: dict[str, Any], path: str) -> UnknownItem:
    item_id, status = value.get("id"), value.get("status")
    if item_id is not None and not isinstance(item_id, str):
        raise WrongType(f"{path}.id: unexpected {type(item_id).__name__}")
    return UnknownItem(
        name=str(value.get("type") or ""),
        id=item_id,
        status=status if isinstance(status, str) else None,
        fields=value,
    )


_NEUTRAL: dict[type[inspect.Type], Any] = {
    inspect.StrType: "",
    inspect.IntType: 0,
    inspect.FloatType: 0.0,
    inspect.BoolType: False,
    inspect.VarTupleType: (),
    inspect.DictType: {},
}


def _neutral(node: inspect.Type) -> Any:
    """The value of a type that says nothing, for a field without a default."""
    match node:
        case inspect.StructType(cls=cls):
            return build(cls, {})
        case inspect.UnionType(types=(inspect.StructType(cls=cls), *_)):
            if cls.__mro__[1].__name__ == "ContentPart":
                return UnknownPart(name="")
            return build(cls, {})
        case _:
            return _NEUTRAL[type(node)]
