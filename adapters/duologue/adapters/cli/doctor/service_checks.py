"""The checks that use a service: a local one, and the configured one."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from duologue.core import Record, SessionConfig
from duologue.core.errors import DuologueError
from duologue.core.models import AS_OF
from duologue.transports import (
    AuthenticationError,
    ConnectError,
    EphemeralKeys,
    SignallingError,
)
from duologue.transports.client.client import default_config
from duologue.transports.http.providers import OPENAI
from duologue.transports.http.redaction import shown_url

from ..shared.one_turn import TurnRequest, TurnResult, run_turn
from ..shared.options import Carrier
from ..shared.service import Service, find_service, open_service
from .check_report import Check, fail, ok, warn
from .protocol_differences import differences

__all__ = ["service_checks"]

#: Seconds to wait for the service.
_TIMEOUT = 15.0
#: The shortest lifetime of an ephemeral key in seconds; the key is not used.
_KEY_LIFETIME = 10
_QUESTION = "Say hello in five words."
_CARRIERS: tuple[Carrier, ...] = ("websocket", "webrtc")


async def service_checks(
    *,
    base_url: str | None,
    provider: str | None,
    reach: bool | None,
    live: bool,
    carrier: Carrier,
    model: str | None,
    record: Path | None,
) -> AsyncIterator[Check]:
    """Check a local service, then the service that a session would use.

    With ``reach`` None the service is contacted if `Service.is_usable`.
    """
    async for check in _local_service():
        yield check
    try:
        service = find_service(base_url, provider)
    except DuologueError as error:
        yield fail("service", str(error), "a base URL is like https://host/v1")
        return
    for check in _settings(service, model):
        yield check
    if service.is_usable if reach is None else reach:
        yield await _reach(service, model)
    else:
        yield ok("reach", "not checked: --reach contacts the service")
    if live:
        request = TurnRequest(
            text=_QUESTION, carrier=carrier, model=model, record=record
        )
        async for check in _live(service, request):
            yield check


# The local service.


async def _local_service() -> AsyncIterator[Check]:
    """Run a turn with a local service over each transport."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            service = await stack.enter_async_context(
                open_service(local=True, base_url=None)
            )
        except DuologueError as error:
            # Only a warning: not every user needs the local service.
            yield warn("local service", "does not start", str(error))
            return
        for carrier in _CARRIERS:
            yield await _local_turn(service, carrier)


async def _local_turn(service: Service, carrier: Carrier) -> Check:
    name = f"local {carrier}"
    try:
        turn = await run_turn(TurnRequest(text="hello", carrier=carrier), service)
    except ImportError as error:
        return warn(name, "not installed", str(error))
    if turn.failure is None:
        return ok(name, f"a spoken reply in {turn.reply_ms:.0f} ms")
    advice = "a firewall may block loopback"
    if carrier == "webrtc":
        advice += " (WebRTC needs UDP)"
    return fail(name, turn.failure, advice)


# The configured service.


def _settings(service: Service, given: str | None) -> Iterator[Check]:
    """The service, key and model that a session would use."""
    provider = service.provider
    url = shown_url(service.base_url)
    name = "" if provider == OPENAI else f", provider {provider.name}"
    yield ok("service", f"{url}, from {service.url_from}{name}")
    yield _key(service)
    model, where = provider.model, f"the table of {AS_OF}"
    if given is not None:
        model, where = given, "--model"
    elif named := os.environ.get("DUOLOGUE_MODEL"):
        model, where = named, "DUOLOGUE_MODEL"
    if model is None:
        advice = "name your deployment with --model or DUOLOGUE_MODEL"
        yield warn("model", "the provider has no default", advice)
    else:
        yield ok("model", f"{model}, from {where}")


def _key(service: Service) -> Check:
    """Check that there is a key, and name its source; the key is not shown."""
    if service.key_from is None:
        if service.is_loopback:
            return ok("key", "none, and a service on loopback needs none")
        if service.is_usable:
            return ok("key", "none, which this provider allows")
        variable = service.provider.key_variable
        return warn(
            "key",
            f"{variable} is not set",
            f"export {variable}=… to talk to the service; --local needs none",
        )
    found = f"in {service.key_from}"
    if not re.fullmatch(r"[!-~]+", service.credentials.key.reveal()):
        return fail(
            "key",
            f"{found}, with invalid characters",
            "copy it again, without quotation marks or spaces",
        )
    if service.credentials.ephemeral:
        advice = "use an API key (sk-…) to create ephemeral keys"
        return warn("key", f"{found}, an ephemeral key, which expires", advice)
    return ok("key", found)


async def _reach(service: Service, model: str | None) -> Check:
    """Check that the service accepts the key, by creating an ephemeral key."""
    if service.credentials.ephemeral:
        return ok(
            "reach",
            "not checked: an ephemeral key can only start a session; try --live",
        )
    provider = service.provider
    if provider.keys is None:
        found = f"not checked: {provider.name} has no ephemeral keys; try --live"
        return ok("reach", found)
    try:
        config = default_config(SessionConfig(model=model), provider)
    except DuologueError:
        return ok("reach", "not checked: a key is requested for a model")
    keys = EphemeralKeys(
        credentials=service.credentials, lifetime=_KEY_LIFETIME, provider=provider
    )
    began = time.perf_counter()
    try:
        await keys.fetch(service.base_url, config.to_session(), _TIMEOUT)
    except AuthenticationError as error:
        if service.key_from is None and error.status is not None:
            return ok(
                "reach",
                f"the service answers ({error.status}); there is no key to check",
            )
        return fail(
            "reach", str(error), f"set {provider.key_variable} to a key that it accepts"
        )
    except SignallingError as error:
        return _refused(error)
    except ConnectError as error:
        advice = "check the base URL, the network and the proxy"
        return fail("reach", str(error), advice)
    took = (time.perf_counter() - began) * 1000
    return ok("reach", f"the service accepts the key, in {took:.0f} ms")


def _refused(error: SignallingError) -> Check:
    """The check of ``reach`` if the service did not create a key."""
    if error.status == 429:
        return warn("reach", str(error), "wait, or check the limits of the account")
    if error.status in (404, 405):
        advice = "a base URL ends in /v1; some services have no ephemeral keys"
        return warn("reach", str(error), advice)
    return fail("reach", str(error), "check the base URL, then try again later")


async def _live(service: Service, request: TurnRequest) -> AsyncIterator[Check]:
    """Run one turn and compare it with the expected protocol."""
    if not service.is_usable:
        yield fail(
            "live", "there is no key", f"export {service.provider.key_variable}=…"
        )
        return
    records: list[Record] = []
    try:
        turn = await run_turn(request, service, on_record=records.append)
    except (DuologueError, ImportError) as error:
        yield fail("live", str(error), "no turn was run")
        return
    for check in _turn_checks(turn, records, request.carrier):
        yield check


def _turn_checks(
    turn: TurnResult, records: list[Record], carrier: Carrier
) -> Iterator[Check]:
    if turn.failure is not None:
        yield fail("live", turn.failure, "see reach and key above")
    else:
        yield ok("live", f"a reply in {turn.reply_ms:.0f} ms: {turn.reply}")
    if turn.connect_ms is None:
        return
    found = differences(records, turn.session, carrier=carrier, spoken=True)
    for difference in found:
        yield warn("live", difference, "to report it, attach the log of --record")
    if not found:
        yield ok("live", "no differences from the expected protocol")
