"""The base classes of all events: frozen, tagged by their wire type."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from .types import SessionKind

__all__ = ["ClientEvent", "Event", "LocalEvent", "Malformed", "ServerEvent", "Unknown"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that happened to a session.

    A field that has its default value is left out on the wire; ``None`` against another
    default is sent as null. Unknown fields are ignored here and kept in the record's
    frame. The class also says how it is decoded, in the attributes below.
    """

    #: A wrong type in one of these fields makes the frame `Malformed`, because a
    #: default would change the meaning. In any other field it counts as missing.
    STRICT: ClassVar[frozenset[str]] = frozenset(
        {
            *("item_id", "previous_item_id", "response_id", "call_id"),
            *("content_index", "item", "part", "response"),
        }
    )
    #: Those of the required fields that no neutral value can replace: a frame without
    #: one of them is `Malformed`.
    ESSENTIAL: ClassVar[frozenset[str]] = frozenset({"item_id", "item", "response"})
    #: The fields that carry base64 audio, or an object that does.
    AUDIO: ClassVar[tuple[str, ...]] = ()
    #: The only kind of session in which the class is used; None for no such limit.
    KIND: ClassVar[SessionKind | None] = None

    @property
    def type(self) -> str:
        """The type on the wire, such as ``response.created``."""
        return str(self.__struct_config__.tag)


class ClientEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """Sent by a client. An error names the ``event_id`` (at most 512 characters)."""

    event_id: str | None = None


class ServerEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """Sent by a service. All but DTMF events have an ``event_id``."""

    event_id: str | None = None


class LocalEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """A local fact (``duologue.…``): recorded, but never sent or received."""

    #: Local facts have no id, because they are never duplicated.
    event_id: ClassVar[str | None] = None


class Unknown(Event, frozen=True, kw_only=True):
    """A well-formed event of a type that is not in the catalogue.

    ``name`` is its wire type; ``fields`` all of it as JSON values.
    """

    name: str
    event_id: str | None = None
    fields: dict[str, Any] = {}

    @property
    def type(self) -> str:
        """The type on the wire."""
        return self.name


class Malformed(Event, frozen=True, kw_only=True):
    """A frame that cannot be decoded to a meaningful event: counted, never raised.

    ``reason`` is one line, ``size`` the frame's bytes, ``digest`` the first 16 hex
    digits of its BLAKE2b, ``head`` its first 80 bytes as text.
    """

    reason: str
    size: int
    digest: str
    head: str
    event_id: str | None = None

    @property
    def type(self) -> str:
        """No wire type: ``malformed``."""
        return "malformed"
