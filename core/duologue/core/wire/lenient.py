"""The slow path of decoding, for frames that the fast decoder refuses.

The text of a frame must be kept even if another field is missing, null or of a wrong
type. So the event is built field by field:

* A field that is missing or null gets its default, or a neutral value of its type
  (``""``, ``0``, ``()``). One of the class's ``ESSENTIAL`` fields raises `WrongType`
  instead. A null in a list, or as the value of a mapping, is left out.
* A wrong type in one of the class's ``STRICT`` fields raises `WrongType`.
* A wrong type in one of the class's ``COUNTS`` gives -1, an impossible count.
* A wrong type in any other field counts as missing.
* An object or a list for one of the class's ``JSON_TEXT`` fields becomes its JSON.
* Another value than an object for a class with a ``TEXT`` field becomes that text.
* An item or content part of an unknown type becomes `UnknownItem` or `UnknownPart`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from ..events.items import BaseItem, ContentPart, UnknownItem, UnknownPart, Value
from .json_values import is_array, is_object

__all__ = ["WrongType", "build"]


class WrongType(Exception):
    """A strict field has a wrong type, or an essential one is missing."""


def build(cls: Any, fields: dict[str, Any], path: str = "$") -> Any:
    """Build a ``cls`` (an event, or an object in an event) from JSON values.

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
                is_json = is_object(value) or is_array(value)
                if is_json and field.name in cls.JSON_TEXT:
                    values[field.name] = _text(value)
                    continue
                if value is not None and field.name in cls.STRICT:
                    raise
                if value is not None and field.name in cls.COUNTS:
                    values[field.name] = -1
                    continue
        if field.required:
            if field.name in cls.ESSENTIAL:
                raise WrongType(f"{path}.{field.encode_name} is missing")
            values[field.name] = _neutral(field.type)
    return cls(**values)


@cache
def _fields(cls: type) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _value(node: inspect.Type, value: Any, path: str) -> Any:
    """``value`` converted to the type ``node``. Raises `WrongType`."""
    match node:
        case inspect.UnionType(types=types):
            return _one_of(types, value, path)
        case inspect.StructType(cls=cls) if is_object(value):
            return build(cls, value, path)
        case inspect.StructType(cls=cls) if (
            value and issubclass(cls, Value) and cls.TEXT is not None
        ):
            return cls(**{cls.TEXT: _text(value)})
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


def _text(value: Any) -> str:
    """A value as text: JSON, unless it is a string."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _is_missing(node: inspect.Type, value: Any) -> bool:
    """Whether a value in a list or a mapping is null, and its type is not Any."""
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
    # A time in ms may have a fraction, which is dropped; other integers may not.
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
        raise WrongType(f"{path}: too large for a float") from None


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
    first = types[0].cls
    if issubclass(first, ContentPart):
        return UnknownPart(name=str(name or ""), fields=value)
    if issubclass(first, BaseItem):
        return _unknown_item(value, path)
    if name is None:
        # Flat sessions and old servers omit the tag: use the first, most common class.
        return build(first, value, path)
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
    """The empty value of a type, for a field without a default."""
    match node:
        case inspect.StructType(cls=cls):
            return build(cls, {})
        case inspect.UnionType(types=(inspect.StructType(cls=cls), *_)):
            if issubclass(cls, ContentPart):
                return UnknownPart(name="")
            return build(cls, {})
        case _:
            return _NEUTRAL[type(node)]
