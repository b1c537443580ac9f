"""Hypothesis profiles, and the guards of every test.

One guard protects the network, another validates every frame of the local service.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import socket
import typing
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings

# `default` searches for new examples on every run; `ci` uses the same examples each
# time, so that a change never fails for an old fault; `deep` is for `make test-deep`.
# No deadlines: on two shared cores they would measure other processes.
_SLOW = [HealthCheck.too_slow]
settings.register_profile("default", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=_SLOW
)
settings.register_profile(
    "deep",
    deadline=None,
    max_examples=2_000,
    stateful_step_count=100,
    suppress_health_check=_SLOW,
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE")
    or ("ci" if os.environ.get("CI") == "true" else "default")
)


class NetworkRefused(RuntimeError):
    """A test tried to reach an address outside loopback.

    This is no ``OSError``, because code under test rightly handles those as network
    failures.
    """


class NetworkGuard:
    """Wraps the methods of `socket.socket` that take an address.

    asyncio's TCP and UDP endpoints, aioice and httpx all call one of them. A call with
    an address other than loopback or a unix socket raises before the kernel sees it,
    and is added to ``refused``, so a test fails even if its code swallows the
    exception.
    """

    error = NetworkRefused

    #: Method of `socket.socket`, and the position of its address argument.
    #: ``sendto`` has it last, after optional flags.
    methods: ClassVar = {"connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}

    def __init__(self) -> None:
        self.refused: list[str] = []

    def check(self, call: str, host: object) -> None:
        """Raise unless ``host`` is this machine."""
        if not is_loopback(host):
            self.refused.append(f"{call} to {host!r}")
            raise self.error(f"{call} to {host!r}: tests stay on loopback")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name, position in self.methods.items():
            patch.setattr(socket.socket, name, self._method(name, position))
        patch.setattr(socket, "getaddrinfo", self._lookup())

    def _method(self, name: str, position: int) -> Any:
        real = getattr(socket.socket, name)

        def guarded(sock: socket.socket, *args: Any) -> Any:
            # `sendmsg` on a connected socket names no address.
            address = args[position] if position < len(args) else None
            if address is not None and sock.family != socket.AF_UNIX:
                self.check(name, address[0])
            return real(sock, *args)

        return guarded

    def _lookup(self) -> Any:
        real = socket.getaddrinfo

        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            # A name needs a resolver, which sends packets too. A number does not.
            if host is not None and not is_number(host):
                self.check("getaddrinfo", host)
            return real(host, *args, **kwargs)

        return guarded


def is_number(host: object) -> bool:
    """Whether ``host`` is an address, not a name."""
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: object) -> bool:
    """Whether ``host`` is a loopback address or its name."""
    text = host.decode() if isinstance(host, bytes) else str(host)
    if not is_number(text):
        return text == "localhost"
    return ipaddress.ip_address(text.partition("%")[0]).is_loopback


@pytest.fixture(scope="session", autouse=True)
def _guard() -> Iterator[NetworkGuard]:
    """One guard for the whole run, for fixtures of any scope."""
    guard = NetworkGuard()
    with pytest.MonkeyPatch.context() as patch:
        guard.install(patch)
        yield guard


@pytest.fixture(autouse=True)
def network_guard(_guard: NetworkGuard) -> Iterator[NetworkGuard]:
    """Fails a test that tried to leave loopback, even if it handled the error."""
    _guard.refused.clear()
    yield _guard
    assert not _guard.refused, f"left loopback: {', '.join(_guard.refused)}"


class FrameGuard:
    """Compares every event of the local service with the types of ``openai``.

    It wraps the output of the engine and of the scripted faults, so it covers every
    test. Mismatches are stored in ``wrong``, because the driver of an engine survives
    exceptions and would hide them. Without the package nothing is checked.
    """

    #: Audio of these events is no longer checked after a thousand events.
    _AUDIO = "response.output_audio.delta"
    _ENOUGH = 1_000

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._audio = 0
        self._adapters = self._types()

    def check(self, frame: str) -> None:
        """Store the mismatches of an event of the service, given as JSON text."""
        kind = json.loads(frame).get("type")
        if kind == self._AUDIO:
            self._audio += 1
            if self._audio > self._ENOUGH:
                return
        adapter = self._adapters.get(kind)
        if adapter is None:
            self.wrong.append(f"{kind} is not an event of the service")
            return
        try:
            adapter.validate_json(frame, strict=True)
        except ValueError as error:
            self.wrong.append(f"{frame[:300]}: {error}")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        if not self._adapters:
            return
        from duologue.local.engine.outbox import Outbox
        from duologue.local.faults.injector import FaultyLine

        for giver, method in ((Outbox, "take_frames"), (FaultyLine, "take")):
            patch.setattr(giver, method, self._checked(getattr(giver, method)))

    def _checked(self, real: Any) -> Any:
        def checked(*args: Any) -> list[Any]:
            given: list[Any] = real(*args)
            for frame in given:
                if isinstance(frame, str):
                    self.check(frame)
            return given

        return checked

    @staticmethod
    def _types() -> dict[str, Any]:
        """The type of each event, by its name."""
        try:
            from openai.types.realtime import RealtimeServerEvent
            from pydantic import TypeAdapter
        except ImportError:
            if os.environ.get("CI") == "true":
                raise
            return {}
        # Each member alone: pydantic would try all members of the union.
        members = typing.get_args(typing.get_args(RealtimeServerEvent)[0])
        return {
            typing.get_args(member.model_fields["type"].annotation)[0]: TypeAdapter(
                member
            )
            for member in members
        }


@pytest.fixture(scope="session", autouse=True)
def _frame_guard() -> Iterator[FrameGuard]:
    """One guard for the whole run, for services of any scope."""
    guard = FrameGuard()
    with pytest.MonkeyPatch.context() as patch:
        guard.install(patch)
        yield guard


@pytest.fixture(autouse=True)
def frame_guard(_frame_guard: FrameGuard) -> Iterator[FrameGuard]:
    """Fails a test if the official types reject an event of the service."""
    _frame_guard.wrong.clear()
    yield _frame_guard
    assert not _frame_guard.wrong, "\n".join(_frame_guard.wrong[:5])


@pytest.fixture
def flite() -> None:
    """For tests that need libflite1; with ``CI=true`` a missing one is a failure."""
    try:
        ctypes.CDLL("libflite_cmu_us_slt.so.1")
    except OSError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"libflite1 is not installed: {error}")
