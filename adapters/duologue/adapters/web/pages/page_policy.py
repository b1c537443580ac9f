"""What a page may ask of a session: an allow-list of the GA's session fields.

The rest is the server's: tools run with its rights or send the conversation elsewhere,
and a model has a price.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from duologue.core import SessionConfig

from .refusals import Refused

__all__ = ["changed", "changes_of"]

_WRITING = ("audio", "input", "transcription")
#: Path in the session object of the GA to the field of `SessionConfig`.
_ALLOWED = {
    ("instructions",): "instructions",
    ("output_modalities",): "output_modalities",
    ("audio", "input", "turn_detection"): "turn_detection",
    _WRITING: "transcription",
    ("audio", "input", "noise_reduction"): "noise_reduction",
    ("audio", "output", "voice"): "voice",
}
_OBJECTS = {path[:end] for path in _ALLOWED for end in range(1, len(path))}
#: Characters of the instructions.
_LONGEST = 32_768


def changes_of(
    session: Mapping[str, Any],
    *,
    models: Collection[str] = (),
    transcribers: Collection[str] = (),
) -> dict[str, Any]:
    """The fields of `SessionConfig` that a session object changes.

    ``models`` are those that may be named, ``transcribers`` those that may write down
    what the user says. Raises `Refused` for a field that is not allowed.
    """
    changes: dict[str, Any] = {}
    for path, value in _leaves(session, ()):
        if path == ("type",) and value == "realtime":
            continue
        if path == ("model",) and value in models:
            changes["model"] = value
        elif path in _ALLOWED:
            changes[_ALLOWED[path]] = value
        else:
            raise _not_allowed(path)
    writing = changes.get("transcription")
    model = writing.get("model") if isinstance(writing, Mapping) else None
    if model is not None and model not in transcribers:
        raise _not_allowed((*_WRITING, "model"))
    if len(str(changes.get("instructions", ""))) > _LONGEST:
        raise Refused(
            422,
            "too_long",
            f"the instructions are longer than {_LONGEST} characters",
            param="session.instructions",
        )
    return changes


def _not_allowed(path: tuple[str, ...]) -> Refused:
    name = f"session.{'.'.join(path)}"
    return Refused(422, "not_allowed", f"a page may not set {name}", param=name)


def _leaves(
    value: Mapping[str, Any], path: tuple[str, ...]
) -> list[tuple[tuple[str, ...], Any]]:
    """What is set in an object, down to the fields that are allowed or not."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, inner in value.items():
        here = (*path, name)
        if here in _OBJECTS and isinstance(inner, Mapping):
            found += _leaves(inner, here)
        else:
            found.append((here, inner))
    return found


def changed(config: SessionConfig, changes: Mapping[str, Any]) -> SessionConfig:
    """The configuration with these changes. Raises `Refused` for wrong values."""
    if isinstance(changes.get("output_modalities"), list):
        changes = {**changes, "output_modalities": tuple(changes["output_modalities"])}
    try:
        result = attrs.evolve(config, **changes)
        result.to_session()
    except (TypeError, ValueError) as error:
        raise Refused(422, "not_a_configuration", str(error), param="session") from None
    return result
