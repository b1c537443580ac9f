"""What a page can tell a session to do, over HTTP or over the feed."""

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

#: Characters of one typed message.
_LONGEST = 16_384


class _Base(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    pass


class Say(_Base, frozen=True, tag="text"):
    """Say it in writing, and ask for the answer."""

    text: str


class Interrupt(_Base, frozen=True, tag="interrupt"):
    """Stop the reply and its sound."""


class Update(_Base, frozen=True, tag="update"):
    """Change the configuration: fields of the GA's session object."""

    session: dict[str, Any]


class Mute(_Base, frozen=True, tag="mute"):
    """The page stopped the track of its microphone, or opened it again."""

    muted: bool


class Volume(_Base, frozen=True, tag="volume"):
    """The page plays at this volume, 0 to 1."""

    level: float


class Clear(_Base, frozen=True, tag="clear"):
    """Show none of the lines so far any more."""


class Close(_Base, frozen=True, tag="close"):
    """Hang up. The session stays to be read."""


Command = Union[  # noqa: UP007 - read by msgspec at run time
    Say, Interrupt, Update, Mute, Volume, Clear, Close
]


def command_of(value: Any) -> Command:
    """The command that JSON values mean. Raises `Refused`."""
    try:
        command: Command = msgspec.convert(value, Command)
    except msgspec.ValidationError as error:
        raise Refused(422, "not_a_command", str(error), param="command") from None
    if isinstance(command, Say):
        _check_text(command.text)
    if isinstance(command, Volume) and not 0 <= command.level <= 1:
        raise Refused(422, "out_of_range", "a level is from 0 to 1", param="level")
    return command


def _check_text(text: str) -> None:
    if not text.strip():
        raise Refused(422, "empty", "there is nothing in the text", param="text")
    if len(text) > _LONGEST:
        said = f"the text is longer than {_LONGEST} characters"
        raise Refused(422, "too_long", said, param="text")
