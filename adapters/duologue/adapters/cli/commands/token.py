"""``duologue token``: an ephemeral key for a browser or another program."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ..shared.options import (
    BaseUrl,
    Instructions,
    Json,
    Model,
    ProviderName,
    Voice,
    check_service,
)

if TYPE_CHECKING:
    from ..shared.service import Service

__all__ = ["token"]

#: Seconds to wait for the service.
_TIMEOUT = 15.0


def token(
    base_url: BaseUrl = None,
    provider: ProviderName = None,
    expires_after: Annotated[
        int,
        typer.Option(
            min=10,
            max=7200,
            metavar="S",
            help="Seconds until the key can no longer start a session.",
        ),
    ] = 600,
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
    json: Json = False,
) -> None:
    """Create an ephemeral key and print it.

    It needs the API key of OPENAI_API_KEY, or that of the provider. Sessions that
    start with the ephemeral key have the given configuration.
    """
    check_service(local=False, base_url=base_url, provider=provider)
    from duologue.core.errors import DuologueError
    from duologue.transports import EphemeralKeys
    from duologue.transports.client.client import default_config

    from ..shared.control_characters import json_line
    from ..shared.service import find_service
    from ..shared.session_setup import configure

    service = find_service(base_url, provider)
    _check_key(service)
    config = configure(model=model, voice=voice, instructions=instructions)
    config = default_config(config, service.provider)
    keys = EphemeralKeys(
        credentials=service.credentials,
        lifetime=expires_after,
        provider=service.provider,
    )
    fetched = keys.fetch(service.base_url, config.to_session(), _TIMEOUT)
    value = asyncio.run(fetched).key.reveal()
    if value == service.credentials.key.reveal():
        raise DuologueError("the service returned the API key, not an ephemeral key")
    if not json:
        print(value)
        return
    values = {
        "value": value,
        "expires_after": expires_after,
        "base_url": service.base_url,
        "model": config.model,
    }
    print(json_line(values), end="")


def _check_key(service: Service) -> None:
    from duologue.core.errors import DuologueError

    variable = service.provider.key_variable
    if not service.is_usable:
        raise DuologueError(
            f"{variable} is not set: an ephemeral key is created with an API key"
        )
    if service.credentials.ephemeral:
        raise DuologueError(
            f"{variable} holds an ephemeral key: only an API key can create one"
        )
