"""The catalogue against the types of the installed ``openai`` package, both ways.

A new event or field in a release of the SDK fails here with its name. Fields are
compared as paths (``session.updated: session.audio.input.format.rate``); an object that
can be of several types counts with the fields of all of them.
"""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect

from duologue.core import SessionKind
from duologue.core.events.base import ClientEvent, ServerEvent

from ..catalogue import WIRE, tag

try:
    from openai.types import realtime as sdk
    from pydantic import BaseModel
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    pytest.skip("needs the package openai", allow_module_level=True)

#: Fields that only the SDK has: a pattern of ``event: path``, and the reason.
ONLY_SDK: dict[str, str] = {}
#: Fields that only the catalogue has: a pattern of ``event: path``, and the source.
ONLY_OURS: dict[str, str] = {
    r".*dtmf_event_received: event_id": "every event of ours can have one",
    r".*transcription\.failed: error\.event_id": "one class for both kinds of error",
    r".*\.phase": "sent with reasoning models, not typed by the SDK",
    r".*content\.type=(audio|text)": "the beta's names, and those of content_part",
    r".*\.type=item_reference": "one union of items; only a response's input takes it",
    r".*content_part\.\w+: part\..*": "one union of parts; the SDK has audio and text",
    r"response\.create: response\.audio\.input.*": "one class for all audio settings",
    r"response\.create: response\.audio\.output\.speed": "the same",
    r"session\.\w+: session\.(id|object|expires_at)": "the service adds them",
    r"translation session\.update: session\.(id|type|model|expires_at)": "the same",
    r"translation session\..*transcription\.\w+": "one class for all transcription",
    r".*transcription\.completed: usage\.input_token_details\..*": (
        "one class for all input tokens; the SDK has audio and text"
    ),
}


def union(annotation: Any) -> list[type[BaseModel]]:
    """The members of a union of events."""
    return [one for one in leaves(annotation) if isinstance(one, type)]


def leaves(annotation: Any) -> Iterator[Any]:
    """The types in an annotation, without containers."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from leaves(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType, list):
        for one in typing.get_args(annotation):
            yield from leaves(one)
    else:
        yield annotation


def sdk_fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field.annotation


def sdk_paths(model: type[BaseModel], at: str = "") -> Iterator[str]:
    """Every field of an SDK type, and the values of its ``type``."""
    for name, annotation in sdk_fields(model):
        path = f"{at}.{name}".lstrip(".")
        yield path
        for leaf in leaves(annotation):
            if isinstance(leaf, type) and issubclass(leaf, BaseModel):
                yield from sdk_paths(leaf, path)
            elif name == "type" and typing.get_origin(leaf) is typing.Literal:
                yield from (f"{path}={value}" for value in typing.get_args(leaf))


def our_paths(cls: Any, at: str = "") -> Iterator[str]:
    """Every field of a class of the catalogue, and the values of its tags."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    if info.tag is not None:
        yield f"{at}.type".lstrip(".")
        yield f"{at}.type={info.tag}".lstrip(".")
    for field in info.fields:
        path = f"{at}.{field.encode_name}".lstrip(".")
        yield path
        yield from _inside(field.type, path)


def _inside(node: inspect.Type, path: str) -> Iterator[str]:
    match node:
        case inspect.StructType(cls=cls):
            yield from our_paths(cls, path)
        case inspect.VarTupleType(item_type=item):
            yield from _inside(item, path)
        case inspect.UnionType(types=several):
            for one in several:
                yield from _inside(one, path)
        case inspect.AnyType() | inspect.RawType() | inspect.DictType():
            yield f"{path}.*"
        case _:
            pass


SERVER = union(sdk.RealtimeServerEvent)
CLIENT = union(sdk.RealtimeClientEvent)
TRANSLATION = [
    *union(sdk.RealtimeTranslationServerEvent),
    *union(sdk.RealtimeTranslationClientEvent),
]


def name_of(model: type[BaseModel]) -> str:
    [name] = typing.get_args(model.model_fields["type"].annotation)
    return str(name)


def ours(translation: bool) -> dict[str, Any]:
    """The classes of the catalogue by wire type, for one kind of session."""
    return {
        tag(cls): cls
        for cls in WIRE
        if (cls.KIND is SessionKind.TRANSLATION) is translation
    }


PAIRS = [
    *((name_of(model), model, False) for model in (*SERVER, *CLIENT)),
    *((f"translation {name_of(model)}", model, True) for model in TRANSLATION),
]


def test_server_events_are_the_same() -> None:
    """The catalogue has exactly the server events of the SDK."""
    found = {n for n, cls in ours(False).items() if issubclass(cls, ServerEvent)}

    assert {name_of(model) for model in SERVER} == found


def test_client_events_are_the_same() -> None:
    """The catalogue has exactly the client events of the SDK."""
    found = {n for n, cls in ours(False).items() if issubclass(cls, ClientEvent)}

    assert {name_of(model) for model in CLIENT} == found


def test_translation_events_are_the_same() -> None:
    """The catalogue has exactly the translation events of the SDK."""
    assert {name_of(model) for model in TRANSLATION} - {"error"} == set(ours(True))


def differences(name: str, model: Any, translation: bool) -> tuple[set[str], set[str]]:
    """The paths that only the SDK has, and those that only the catalogue has."""
    wire = name.rpartition(" ")[2]
    cls = ours(translation).get(wire) or ours(False)[wire]
    theirs, mine = set(sdk_paths(model)), set(our_paths(cls))
    return (
        {f"{name}: {path}" for path in theirs - mine if not is_open(path, mine)},
        {f"{name}: {path}" for path in mine - theirs if not is_open(path, theirs)},
    )


def is_open(path: str, other: set[str]) -> bool:
    """Whether the other side has free-form JSON here, or does not list the values."""
    parts = path.split(".")
    if parts[-1] == "*":
        return True
    if any(f"{'.'.join(parts[:n])}.*" in other for n in range(1, len(parts))):
        return True
    field, values, _ = path.partition("=")
    return bool(values) and not any(one.startswith(f"{field}=") for one in other)


def unexcused(paths: set[str], known: dict[str, str]) -> list[str]:
    return sorted(
        path
        for path in paths
        if not any(re.fullmatch(pattern, path) for pattern in known)
    )


@pytest.mark.parametrize(("name", "model", "translation"), PAIRS, ids=str)
def test_fields_are_the_same(name: str, model: Any, translation: bool) -> None:
    """The SDK and the catalogue have the same fields, except known differences."""
    theirs, mine = differences(name, model, translation)

    assert (unexcused(theirs, ONLY_SDK), unexcused(mine, ONLY_OURS)) == ([], [])


def test_every_known_difference_is_one() -> None:
    """Every listed difference still exists."""
    found = [differences(*pair) for pair in PAIRS]
    for known, paths in (
        (ONLY_SDK, set[str]().union(*(theirs for theirs, _ in found))),
        (ONLY_OURS, set[str]().union(*(mine for _, mine in found))),
    ):
        for pattern in known:
            assert any(re.fullmatch(pattern, path) for path in paths), pattern


def test_the_comparison_goes_deep() -> None:
    """The comparison includes nested fields and all types of an object."""
    updated = next(model for name, model, _ in PAIRS if name == "session.updated")
    paths = set(sdk_paths(updated))

    assert "session.audio.input.turn_detection.threshold" in paths
    assert "session.audio.input.turn_detection.type=semantic_vad" in paths
    assert paths & set(our_paths(ours(False)["session.updated"])) > {"session.type"}
