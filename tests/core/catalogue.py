"""Every event class, and an example of each with every field set."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from duologue.core.events.base import ClientEvent, Event, LocalEvent, ServerEvent
from duologue.core.events.items import BaseItem, Value

WIRE = [*ServerEvent.__subclasses__(), *ClientEvent.__subclasses__()]
LOCAL = LocalEvent.__subclasses__()
EVERY = [*WIRE, *LOCAL]


def _below(cls: type[Any]) -> list[Any]:
    found: list[Any] = cls.__subclasses__()
    return [one for sub in found for one in (sub, *_below(sub))]


#: Every class with strict fields or audio fields.
DESCRIBED = [*EVERY, *_below(Value)]


def tag(cls: type[Event]) -> str:
    """The wire type of a class."""
    return str(cls.__struct_config__.tag)


def fields(cls: type[Event], pick: int = 0) -> dict[str, Any]:
    """An example of the class as JSON values, with every field.

    Where an object can have several types, ``pick`` selects one by number.
    """
    found: dict[str, Any] = _object(cls, 0, pick)
    if "event_id" in found:
        found["event_id"] = f"event_of_{tag(cls)}"
    return found


def shapes(cls: type[Event]) -> list[dict[str, Any]]:
    """The fewest examples of the class that hold every type of item, part, tool and
    usage."""
    found: list[dict[str, Any]] = []
    for pick in range(len(BaseItem.__subclasses__())):
        one = fields(cls, pick)
        if one not in found:
            found.append(one)
    return found


def example(cls: type[Event]) -> Event:
    """An example of the class."""
    return msgspec.json.decode(msgspec.json.encode(fields(cls)), type=cls)


def _object(cls: Any, depth: int, pick: int) -> dict[str, Any]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    found = {
        field.encode_name: _value(field.type, field.encode_name, depth + 1, pick)
        for field in info.fields
    }
    if info.tag is not None:
        assert info.tag_field is not None
        found[info.tag_field] = info.tag
    return found


def _value(node: inspect.Type, name: str, depth: int, pick: int) -> Any:
    match node:
        case inspect.StrType():
            return {"id": "item_1", "item_id": "item_1", "role": "user"}.get(name, name)
        case inspect.IntType():
            return 1 if name.endswith("index") else 3
        case inspect.FloatType():
            return 1.5
        case inspect.BoolType():
            return True
        case inspect.VarTupleType(item_type=item):
            return [] if depth > 6 else [_value(item, name, depth, pick)]
        case inspect.DictType():
            return {"type": "session.update"}
        case inspect.StructType(cls=cls):
            return _object(cls, depth, pick)
        case inspect.UnionType(types=types):
            structs = [one for one in types if isinstance(one, inspect.StructType)]
            chosen = structs[pick % len(structs)] if structs else types[0]
            return _value(chosen, name, depth, pick)
        case _:
            return {"any": ["thing"]}
