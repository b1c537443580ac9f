"""What ``doctor`` asks of services: one of its own, and the one that the user means."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from duologue.core import Record
from duologue.core.errors import DuologueError
from duologue.core.models import AS_OF
from duologue.transports import (
    AuthenticationError,
    ConnectError,
    EphemeralKeys,
    SignallingError,
)
from duologue.transports.client.client import default_config

from ..shared.one_turn import Ask, Carrier, Turn, hold_turn
from ..shared.service import KEY_VARIABLE, Service, find_service, reached
from .machine_checks import Check, fail, ok, warn
from .protocol_differences import differences

if TYPE_CHECKING:
    from .check_report import Options

__all__ = ["service_checks"]

#: Seconds for the service to answer.
_PATIENCE = 15.0
#: The shortest life of a key that is minted only to see whether one is.
_BRIEF = 10
_QUESTION = "Say hello in five words."
_CARRIERS: tuple[Carrier, ...] = ("websocket", "webrtc")


async def service_checks(options: Options) -> AsyncIterator[Check]:
    """The service of this machine, then the one that a session would go to."""
    async for check in _own_service():
        yield check
    try:
        service = find_service(options.base_url)
    except SignallingError as error:
        yield fail("service", str(error), "a base URL is like https://host/v1")
        return
    for check in _settings(service):
        yield check
    wanted = options.reach
    if wanted if wanted is not None else service.may_be_asked:
        yield await _reach(service)
    else:
        yield ok("reach", "not asked for: --reach asks the service")
    if options.live:
        async for check in _live(service, options):
            yield check


# -- the service of this machine


async def _own_service() -> AsyncIterator[Check]:
    """One turn with a local service of its own over each transport."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            service = await stack.enter_async_context(
                reached(local=True, base_url=None)
            )
        except DuologueError as error:
            # Only those who use it need what it lacks here.
            yield warn("local service", "does not start", str(error))
            return
        for carrier in _CARRIERS:
            yield await _own_turn(service, carrier)


async def _own_turn(service: Service, carrier: Carrier) -> Check:
    name = f"local {carrier}"
    try:
        turn = await hold_turn(Ask(text="hello", carrier=carrier), service)
    except ImportError as error:
        return warn(name, "not there", str(error))
    if turn.failure is None:
        return ok(name, f"a spoken reply in {turn.reply_ms:.0f} ms")
    advice = "a firewall may be in the way on loopback"
    if carrier == "webrtc":
        advice += " (WebRTC needs UDP there)"
    return fail(name, turn.failure, advice)


# -- the service that the user means


def _settings(service: Service) -> Iterator[Check]:
    """Which service a session would go to, and with what key."""
    yield ok("service", f"{service.base_url}, from {service.named_by}")
    yield _key(service)
    model, where = default_config().model, f"the table of {AS_OF}"
    if os.environ.get("DUOLOGUE_MODEL"):
        where = "DUOLOGUE_MODEL"
    yield ok("model", f"{model}, from {where}")


def _key(service: Service) -> Check:
    """Whether there is a key, and where it comes from; nothing of the key itself."""
    if service.key_from is None:
        if service.is_here:
            return ok("key", "none, and none is needed on loopback")
        return warn(
            "key",
            f"{KEY_VARIABLE} is not set",
            f"export {KEY_VARIABLE}=… to talk to the service; --local needs none",
        )
    found = f"in {service.key_from}"
    if not re.fullmatch(r"[!-~]+", service.credentials.key.reveal()):
        return fail(
            "key",
            f"{found}, with characters that no key has",
            "copy it again, without quotation marks or spaces",
        )
    if service.credentials.ephemeral:
        advice = "an API key (sk-…) lasts; only it mints others"
        return warn("key", f"{found}, an ephemeral one: it expires", advice)
    return ok("key", found)


async def _reach(service: Service) -> Check:
    """Whether the service answers, and takes the key: it is asked for another one."""
    if service.credentials.ephemeral:
        return ok("reach", "not asked: an ephemeral key is for sessions; try --live")
    keys = EphemeralKeys(credentials=service.credentials, lifetime=_BRIEF)
    session = default_config().to_session()
    began = time.perf_counter()
    try:
        await keys.fetch(service.base_url, session, _PATIENCE)
    except AuthenticationError as error:
        if service.key_from is None and error.status is not None:
            return ok("reach", f"it answers ({error.status}); there is no key to try")
        return fail("reach", str(error), f"put a key that it takes in {KEY_VARIABLE}")
    except SignallingError as error:
        return _answered(error)
    except ConnectError as error:
        advice = "look at the base URL, the network and the proxy"
        return fail("reach", str(error), advice)
    took = (time.perf_counter() - began) * 1000
    return ok("reach", f"it answers and takes the key, in {took:.0f} ms")


def _answered(error: SignallingError) -> Check:
    """What an answer that is no key says."""
    if error.status == 429:
        return warn("reach", str(error), "wait, or look at the limits of the account")
    if error.status in (404, 405):
        advice = "a base URL ends in /v1; a service may have no ephemeral keys"
        return warn("reach", str(error), advice)
    return fail("reach", str(error), "look at the base URL, then try again later")


async def _live(service: Service, options: Options) -> AsyncIterator[Check]:
    """One turn, and what was not as expected."""
    if not service.may_be_asked:
        yield fail("live", "there is no key", f"export {KEY_VARIABLE}=…")
        return
    records: list[Record] = []
    ask = Ask(
        text=_QUESTION,
        carrier=options.carrier,
        model=options.model,
        record=options.record,
    )
    try:
        turn = await hold_turn(ask, service, told=records.append)
    except (DuologueError, ImportError) as error:
        yield fail("live", str(error), "nothing was asked")
        return
    for check in _judged(turn, records, options.carrier):
        yield check


def _judged(turn: Turn, records: list[Record], carrier: Carrier) -> Iterator[Check]:
    if turn.failure is not None:
        yield fail("live", turn.failure, "look at reach and at the key above")
    else:
        yield ok("live", f"a reply in {turn.reply_ms:.0f} ms: {turn.reply}")
    if turn.connect_ms is None:
        return
    found = differences(records, turn.session, carrier=carrier, spoken=True)
    for difference in found:
        yield warn("live", difference, "a report needs the log of --record")
    if not found:
        yield ok("live", "all was as expected")
