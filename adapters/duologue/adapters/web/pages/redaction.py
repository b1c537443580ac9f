"""What the server knows and no page may read: its key, and what opens its MCP servers.

They are taken out of records before anything is folded from them: views, patches and
logs are made of records. What is sent to the service is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from duologue.core import Record, SessionConfig, SessionKind, State, decode
from duologue.core.events import McpToolServer
from duologue.core.store import Dispatch, Middleware, Store

__all__ = ["hiding", "secrets_of"]

#: What stands in place of a secret.
_HIDDEN = b"***"
#: A shorter text is no secret, and would be found in too many places.
_SHORTEST = 8


def secrets_of(config: SessionConfig) -> list[str]:
    """The texts of a configuration that open something."""
    found: list[str] = []
    tools: Any = config.tools or ()
    for tool in tools:
        if isinstance(tool, McpToolServer):
            found += _texts(msgspec.json.decode(msgspec.json.encode(tool)))
    return found


def _texts(tool: dict[str, Any]) -> list[str]:
    headers = tool.get("headers")
    values = [*headers.values()] if isinstance(headers, dict) else []
    return [text for text in (tool.get("authorization"), *values) if text]


def hiding(secrets: Iterable[str]) -> Middleware:
    """A middleware of the store that takes these texts out of all that is recorded."""
    forms = {
        form
        for secret in secrets
        if len(secret) >= _SHORTEST
        for form in (secret.encode(), msgspec.json.encode(secret)[1:-1])
    }
    longest_first = sorted(forms, key=len, reverse=True)

    def middleware(store: Store, dispatch: Dispatch) -> Dispatch:
        def go(record: Record) -> State:
            if any(form in record.frame for form in longest_first):
                frame, session = record.frame, store.session(record.session)
                kind = session.connection.kind if session else SessionKind.REALTIME
                for form in longest_first:
                    frame = frame.replace(form, _HIDDEN)
                record = msgspec.structs.replace(
                    record, frame=frame, event=decode(frame, kind=kind)
                )
            return dispatch(record)

        return go

    return middleware
