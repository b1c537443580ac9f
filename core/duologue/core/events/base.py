"""What all events are: frozen, tagged by their wire type."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

__all__ = ["ClientEvent", "Event", "LocalEvent", "Malformed", "ServerEvent", "Unknown"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that happened to a session.

    A field whose default is left alone is left out on the wire; one set to ``None``
    against another default is sent as null. Fields that we do not know are ignored
    here and kept in the record's frame.
    """

    @property
    def type(self) -> str:
        """The type on the wire, such as ``response.created``."""
        return str(self.__struct_config__.tag)


class ClientEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """Sent by a client. ``event_id`` (≤ 512 characters) comes back in an error."""

    event_id: str | None = None


class ServerEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """Sent by a service. DTMF events have no ``event_id``, all others do."""

    event_id: str | None = None


class LocalEvent(Event, frozen=True, kw_only=True, tag_field="type"):
    """A fact that no wire carries, written into the same log (``duologue.…``)."""

    #: Nobody sends it, so nobody sends it twice.
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
    """A frame that cannot be believed: counted, never raised.

    ``reason`` is one line, ``size`` the frame's bytes, ``digest`` the first 16 hex
    digits of its BLAKE2b, ``head`` its first 80 bytes for a person to look at.
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
