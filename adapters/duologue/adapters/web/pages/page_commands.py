"""Commands of a page to a session: HTTP requests, or messages on its WebSocket."""

from __future__ import annotations

from typing import Any, Union

import msgspec

from .refusals import Refused

__all__ = [
    "Clear",
    "Close",
    "Command",
    "Interrupt",
    "Mute",
    "Say",
    "Update",
    "Volume",
    "command_of",
]

#: The most characters in a text message.
_MAX_TEXT = 16_384


class _Base(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    pass


class Say(_Base, frozen=True, tag="text"):
    """Send a text message and request a response."""

    text: str


class Interrupt(_Base, frozen=True, tag="interrupt"):
    """Cancel the response and stop its audio."""


class Update(_Base, frozen=True, tag="update"):
    """Change the configuration: ``session`` has fields of the GA session object."""

    session: dict[str, Any]


class Mute(_Base, frozen=True, tag="mute"):
    """The page muted its microphone, or unmuted it."""

    muted: bool


class Volume(_Base, frozen=True, tag="volume"):
    """The page changed its playback volume: ``level`` from 0 to 1."""

    level: float


class Clear(_Base, frozen=True, tag="clear"):
    """Hide all current lines of the transcript."""


class Close(_Base, frozen=True, tag="close"):
    """Hang up. The session stays readable."""


Command = Union[  # noqa: UP007 - read by msgspec at run time
    Say, Interrupt, Update, Mute, Volume, Clear, Close
]


def command_of(value: Any) -> Command:
    """Decode a command from JSON values. Raises `Refused`."""
    try:
        command: Command = msgspec.convert(value, Command)
    except msgspec.ValidationError as error:
        raise Refused(422, "not_a_command", str(error), param="command") from None
    match command:
        case Say(text) if not text.strip():
            raise Refused(422, "empty", "the text is empty", param="text")
        case Say(text) if len(text) > _MAX_TEXT:
            message = f"the text is longer than {_MAX_TEXT} characters"
            raise Refused(422, "too_long", message, param="text")
        case Volume(level) if not 0 <= level <= 1:
            message = "the level must be between 0 and 1"
            raise Refused(422, "out_of_range", message, param="level")
    return command
