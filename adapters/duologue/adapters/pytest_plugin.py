"""A pytest fixture and a marker for tests of voice apps against recordings.

::

    @pytest.mark.duologue("hello.jsonl")
    async def test_hello(duologue):
        async with duologue.client() as client:
            await app(client, duologue.transport())

A replay runs without delays and compares the events that the app sends; the first
difference fails the test. ``pytest --duologue-record`` runs the tests with a service
and replaces their recordings. pytest loads this module by its entry point. No other
module of the package imports pytest.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from duologue.transports import Client, Transport
    from duologue.transports.drivers.replay.replay_transport import Replay

__all__ = ["Stage", "duologue", "duologue_live"]

#: Seconds that a replay waits for the next event of the app.
PATIENCE = 5.0

_STAGE = pytest.StashKey["Stage"]()
_SERVICE = pytest.StashKey["_Service"]()

#: pytest rewrites the assertions of the contract tests, so that a failure shows the
#: values. This works only before the first import of their module.
_SUITE = "duologue.transports.testing.contract_tests"
if _SUITE not in sys.modules:
    pytest.register_assert_rewrite(_SUITE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--duologue-record`` and ``--duologue-base-url``."""
    group = parser.getgroup("duologue", "recordings of voice sessions")
    group.addoption(
        "--duologue-record",
        action="store_true",
        help="run the tests with a service and replace their recordings",
    )
    group.addoption(
        "--duologue-base-url",
        metavar="URL",
        help="base URL of that service, ending in /v1 (default: start the local "
        "service, whose replies are scripted)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "duologue(path=None, *, sends='strict', patience=5.0): the recording for the "
        "fixture `duologue`, relative to the folder of the test module; by default "
        "recordings/<test>.jsonl",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the local service, if a test has started it."""
    service = config.stash.get(_SERVICE, None)
    if service is not None:
        service.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail with the first difference from the recording, if there is one.

    The difference is the cause of any later error.
    """
    try:
        result = yield
    except (Exception, pytest.fail.Exception) as error:
        stage = item.stash.get(_STAGE, None)
        drift = stage.drift() if stage is not None else None
        if drift is None:
            raise
        pytest.fail(f"{drift} (then {type(error).__name__}: {error})", pytrace=False)
    stage = item.stash.get(_STAGE, None)
    if stage is not None:
        if drift := stage.drift(ended=True):
            pytest.fail(drift, pytrace=False)
        stage.keep()
    return result


@pytest.fixture
def duologue_live() -> Callable[[], Transport]:
    """Return a function that makes a live transport for ``--duologue-record``.

    The default is WebSocket without audio. Override this fixture for another transport.
    """
    from duologue.transports import websocket

    return websocket


@pytest.fixture
def duologue(
    request: pytest.FixtureRequest, duologue_live: Callable[[], Transport]
) -> Iterator[Stage]:
    """A `Stage` with the recording of the test's marker."""
    marker = request.node.get_closest_marker("duologue")
    args, options = (marker.args, dict(marker.kwargs)) if marker else ((), {})
    name = args[0] if args else options.pop("path", None)
    path = request.path.parent / (name or f"recordings/{request.node.name}.jsonl")
    stage = Stage(path, request.config, duologue_live, **options)
    request.node.stash[_STAGE] = stage
    yield stage
    stage.discard()


class Stage:
    """The value of the fixture `duologue`: makes transports and a client for one test.

    ``path`` is the log of the first session. ``recording`` is true with
    ``--duologue-record``. ``sends`` and ``patience`` (in seconds) come from the marker;
    they are the arguments of `replay`.
    """

    def __init__(
        self,
        path: Path,
        config: pytest.Config,
        live: Callable[[], Transport],
        *,
        sends: Any = "strict",
        patience: float | None = PATIENCE,
    ) -> None:
        self.path = path
        self.recording = bool(config.getoption("--duologue-record"))
        self._config = config
        self._live = live
        self._sends = sends
        self._patience = patience
        self._replays: list[tuple[Path, Replay]] = []
        self._made: list[tuple[Path, Path]] = []

    def transport(self, name: str | None = None) -> Transport:
        """Return the transport of one session.

        Each session after the first needs a ``name``, which becomes part of the file
        name. Fails the test if the recording does not exist.
        """
        path = self.path
        if name is not None:
            path = path.with_name(f"{path.stem}.{name}{path.suffix}")
        return self._recorder(path) if self.recording else self._replayed(path)

    def client(self, **options: Any) -> Client:
        """Return a client for these transports; it takes the options of `Client`."""
        from duologue.transports import Client, Credentials

        if not self.recording:
            options.setdefault("credentials", Credentials("replayed"))
        elif url := self._config.getoption("--duologue-base-url"):
            options.setdefault("base_url", url)
        else:
            options.setdefault("base_url", self._service().base_url)
            options.setdefault("credentials", Credentials("made-up"))
        return Client(**options)

    def drift(self, *, ended: bool = False) -> str | None:
        """Return the first difference from the recording, None if there is none.

        With ``ended``, a recorded event that the app has not sent is a difference too.
        """
        from duologue.transports import ReplayDrift

        for path, replay in self._replays:
            found: ReplayDrift | None = replay.drift
            if found is None and ended:
                try:
                    replay.check()
                except ReplayDrift as error:
                    found = error
            if found is not None:
                return f"{path.name}: {found}; --duologue-record replaces the recording"
        return None

    def keep(self) -> None:
        """Replace the recordings with the new ones, after the test has passed."""
        while self._made:
            new, path = self._made.pop()
            if new.exists():
                new.replace(path)

    def discard(self) -> None:
        """Remove the new recordings of a failed test."""
        while self._made:
            self._made.pop()[0].unlink(missing_ok=True)

    def _replayed(self, path: Path) -> Transport:
        from duologue.transports import replay

        if not path.exists():
            pytest.fail(
                f"there is no recording {path}: --duologue-record creates it",
                pytrace=False,
            )
        transport = replay(path, sends=self._sends, patience=self._patience)
        self._replays.append((path, transport))
        return transport

    def _recorder(self, path: Path) -> Transport:
        from duologue.transports import record

        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        self._made.append((new, path))
        return record(self._live(), new)

    def _service(self) -> _Service:
        service = self._config.stash.get(_SERVICE, None)
        if service is None:
            service = self._config.stash[_SERVICE] = _Service()
        return service


class _Service:
    """The local service, in a thread with its own event loop.

    It serves all tests, and each test may have another event loop.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="duologue local")
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            pytest.fail(
                f"the local service did not start: {self._failure}", pytrace=False
            )

    def close(self) -> None:
        """Stop the service. Idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:
            self._failure = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        from duologue.local import LocalService

        async with LocalService() as service:
            self.base_url = service.base_url
            self._ready.set()
            await self._end.wait()
