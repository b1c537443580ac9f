"""The base classes of all events: frozen, tagged by their wire type."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from .types import SessionKind

__all__ = ["ClientEvent", "Event", "LocalEvent", "Malformed", "ServerEvent", "Unknown"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that happened to a session.

    A field with its default value is left out on the wire. A ``None`` that is not the
    default is sent as null. Unknown fields are not decoded, but the frame of the record
    still has them. The attributes below control the decoding.
    """

    #: If one of these fields has a wrong type, the frame is `Malformed`, because a
    #: default would change its meaning. A wrong type in any other field counts as a
    #: missing field.
    STRICT: ClassVar[frozenset[str]] = frozenset(
        {
            *("item_id", "previous_item_id", "response_id", "call_id"),
            *("content_index", "item", "part", "response"),
        }
    )
    #: If one of these required fields is missing or null, the frame is `Malformed`. Any
    #: other required field gets an empty value.
    ESSENTIAL: ClassVar[frozenset[str]] = frozenset({"item_id", "item", "response"})
    #: Fields with JSON text, for which some services send an object or a list.
    JSON_TEXT: ClassVar[frozenset[str]] = frozenset()
    #: The fields with base64 audio, or with an object that has base64 audio.
    AUDIO: ClassVar[tuple[str, ...]] = ()
    #: Counts whose absence has a meaning: a value of a wrong type becomes -1.
    COUNTS: ClassVar[frozenset[str]] = frozenset()
    #: The only kind of session that uses the class; None for all kinds.
    KIND: ClassVar[SessionKind | None] = None

    @property
    def type(self) -> str:
        """The type on the wire, such as ``response.created``."""
        return str(self.__struct_config__.tag)


class ClientEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """Sent by a client; an ``error`` repeats its ``event_id`` (at most 512 chars)."""

    event_id: str | None = None


class ServerEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """Sent by a service. All but DTMF events have an ``event_id``."""

    event_id: str | None = None


class LocalEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """A local fact (``duologue.muted``, …): recorded, but never sent or received."""

    #: Local facts have no id, because they are never duplicated.
    event_id: ClassVar[str | None] = None


class Unknown(Event, frozen=True, kw_only=True):
    """A well-formed event of a type that is not in the catalogue.

    ``name`` is its wire type, ``fields`` the whole event as JSON values.
    """

    name: str
    event_id: str | None = None
    fields: dict[str, Any] = {}

    @property
    def type(self) -> str:
        """The type on the wire."""
        return self.name


class Malformed(Event, frozen=True, kw_only=True):
    """A frame that cannot be decoded. No error is raised; ``dedup`` counts the frame.

    ``reason`` is one line, ``size`` is in bytes, ``digest`` is the first 16 hex digits
    of the frame's BLAKE2b hash, ``head`` its first 80 bytes as text.
    """

    reason: str
    size: int
    digest: str
    head: str
    event_id: str | None = None

    @property
    def type(self) -> str:
        """Always ``malformed``, which is not a wire type."""
        return "malformed"
