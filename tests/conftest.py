"""What every test gets: Hypothesis profiles and a guard around the network."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings

# `default` looks for new examples on every run; `ci` takes the same ones each time,
# so that a change is never blamed for an old fault; `deep` is `make test-deep`.
# No deadlines: on two shared cores they would measure the neighbours.
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
    """A test tried to reach an address that is not of this machine's loopback.

    Not an ``OSError``, because code under test is right to take those for a network
    that is down.
    """


class NetworkGuard:
    """Stands before the calls of `socket.socket` that name a far end.

    asyncio's TCP and UDP endpoints, aioice and httpx all end in one of them. A call
    to an address other than loopback or a unix socket raises before the kernel sees
    it, and is kept in ``refused``: code that swallows the exception fails its test
    all the same.
    """

    error = NetworkRefused

    #: Method of `socket.socket`, and where its address stands among the arguments.
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
            # A name asks a resolver, which is a packet too. A number does not.
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
    """Whether ``host`` is an address of loopback, or the name of it."""
    text = host.decode() if isinstance(host, bytes) else str(host)
    if not is_number(text):
        return text == "localhost"
    return ipaddress.ip_address(text.partition("%")[0]).is_loopback


@pytest.fixture(scope="session", autouse=True)
def _guard() -> Iterator[NetworkGuard]:
    """One guard for the whole run: fixtures of any scope are behind it."""
    guard = NetworkGuard()
    with pytest.MonkeyPatch.context() as patch:
        guard.install(patch)
        yield guard


@pytest.fixture(autouse=True)
def network_guard(_guard: NetworkGuard) -> Iterator[NetworkGuard]:
    """Fails a test that tried to leave loopback, whatever it did about the error."""
    _guard.refused.clear()
    yield _guard
    assert not _guard.refused, f"left loopback: {', '.join(_guard.refused)}"


@pytest.fixture
def flite() -> None:
    """For tests that need libflite1; with ``CI=true`` a missing one is a failure."""
    try:
        ctypes.CDLL("libflite_cmu_us_slt.so.1")
    except OSError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"libflite1 is not installed: {error}")
