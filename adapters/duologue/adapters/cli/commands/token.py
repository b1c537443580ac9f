"""``duologue token``: an ephemeral key, for a browser or another program."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs

from duologue.core import SessionConfig
from duologue.core.errors import DuologueError
from duologue.transports import Credentials, EphemeralKeys
from duologue.transports.client.client import default_config

from ..shared.escape import as_line
from ..shared.service import KEY_VARIABLE, Service, find_service

__all__ = ["Options", "run"]

#: Seconds for the service to answer.
_PATIENCE = 15.0


@attrs.frozen(kw_only=True)
class Options:
    """What the command line asks for; None leaves it to the service."""

    base_url: str | None
    expires_after: int
    model: str | None
    voice: str | None
    instructions: str | None
    json: bool


def run(options: Options) -> None:
    """Mint a key and print it alone. Raises a `DuologueError`."""
    service = find_service(options.base_url)
    _check(service)
    config = _config(options)
    key = asyncio.run(_mint(service, config, options.expires_after))
    value = key.key.reveal()
    if value == service.credentials.key.reveal():
        raise DuologueError("the service gave the API key back, not an ephemeral one")
    if not options.json:
        print(value)
        return
    told = {
        "value": value,
        "expires_after": options.expires_after,
        "base_url": service.base_url,
        "model": config.model,
    }
    print(as_line(told), end="")


def _check(service: Service) -> None:
    if not service.may_be_asked:
        raise DuologueError(
            f"{KEY_VARIABLE} is not set: an API key is what mints ephemeral ones"
        )
    if service.credentials.ephemeral:
        raise DuologueError(
            f"{KEY_VARIABLE} holds an ephemeral key: an API key is what mints them"
        )


def _config(options: Options) -> SessionConfig:
    given: dict[str, Any] = {
        "model": options.model,
        "voice": options.voice,
        "instructions": options.instructions,
    }
    named = {name: value for name, value in given.items() if value is not None}
    return attrs.evolve(default_config(), **named)


async def _mint(service: Service, config: SessionConfig, lifetime: int) -> Credentials:
    keys = EphemeralKeys(credentials=service.credentials, lifetime=lifetime)
    return await keys.fetch(service.base_url, config.to_session(), _PATIENCE)
