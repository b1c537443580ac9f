"""Redaction of the server's secrets: its API key and the credentials of MCP servers.

A middleware of the store replaces them in each record, so they are in no view, patch or
log. The events sent to the service are not changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from duologue.core import Record, Session, SessionConfig, State, decode
from duologue.core.events import McpToolServer
from duologue.core.store import Dispatch, Middleware, Store

__all__ = ["redacting", "secrets_of"]

_REPLACEMENT = b"***"
#: Shorter values are not redacted: they would match ordinary text.
_MIN_LENGTH = 8


def secrets_of(config: SessionConfig) -> list[str]:
    """The ``authorization`` and the header values of all MCP servers."""
    found: list[str] = []
    tools: Any = config.tools or ()
    for tool in tools:
        if isinstance(tool, McpToolServer):
            found += _credentials(msgspec.json.decode(msgspec.json.encode(tool)))
    return found


def _credentials(tool: dict[str, Any]) -> list[str]:
    headers = tool.get("headers")
    values = [*headers.values()] if isinstance(headers, dict) else []
    return [text for text in (tool.get("authorization"), *values) if text]


def redacting(secrets: Iterable[str]) -> Middleware:
    """A middleware of the store that replaces these texts in all records."""
    forms = {
        form
        for secret in secrets
        if len(secret) >= _MIN_LENGTH
        for form in (secret.encode(), msgspec.json.encode(secret)[1:-1])
    }
    longest_first = sorted(forms, key=len, reverse=True)

    def middleware(store: Store, dispatch: Dispatch) -> Dispatch:
        def redact(record: Record) -> State:
            frame = record.frame
            for form in longest_first:
                frame = frame.replace(form, _REPLACEMENT)
            if frame != record.frame:
                session = store.session(record.session) or Session(record.session)
                event = decode(frame, kind=session.connection.kind)
                record = msgspec.structs.replace(record, frame=frame, event=event)
            return dispatch(record)

        return redact

    return middleware
