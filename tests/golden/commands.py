"""The visible command line: options, help, and the output of ``--json``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from duologue.adapters.cli import main
from duologue.local import LocalService, Parts

from .store import TOP

#: The help must not depend on the machine.
ENVIRONMENT = {
    **{"COLUMNS": "100", "TERMINAL_WIDTH": "100", "TERM": "dumb", "NO_COLOR": "1"},
    **{"FORCE_COLOR": "", "GITHUB_ACTIONS": "", "PY_COLORS": ""},
    **{"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "DUOLOGUE_LOCAL_KEY": ""},
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ROOTS = ("core", "transports", "local", "adapters")


def application() -> typer.Typer:
    """The application of `main`, found without the name of its module."""
    found: list[typer.Typer] = []

    def caught(self: typer.Typer, *_args: Any, **_options: Any) -> None:
        found.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.Typer, "__call__", caught)
        main()
    return found[0]


def _every() -> Iterator[tuple[str, Any]]:
    """All commands by their words; the first is the program."""
    queue: list[tuple[str, Any]] = [("", typer.main.get_command(application()))]
    while queue:
        name, command = queue.pop(0)
        yield name, command
        inner = getattr(command, "commands", {})
        queue += [(f"{name} {word}".strip(), inner[word]) for word in sorted(inner)]


def structure() -> dict[str, Any]:
    """Commands and parameters: names, types, defaults, variables, required flags."""
    return {
        name: {parameter.name: _parameter(parameter) for parameter in command.params}
        for name, command in _every()
    }


def _parameter(parameter: Any) -> dict[str, Any]:
    default = parameter.default
    return {
        "kind": "argument" if _is_argument(parameter) else "option",
        "names": [*parameter.opts, *parameter.secondary_opts],
        "type": str(
            getattr(_annotation(parameter), "__name__", _annotation(parameter))
        ),
        "min": getattr(parameter, "min", None),
        "max": getattr(parameter, "max", None),
        "default": default if _is_plain(default) else str(default),
        "envvar": parameter.envvar,
        "required": parameter.required,
        "multiple": getattr(parameter, "multiple", False),
        "is_flag": getattr(parameter, "is_flag", False),
        "nargs": parameter.nargs,
    }


def _is_argument(parameter: Any) -> bool:
    return not any(name.startswith("-") for name in parameter.opts)


def _annotation(parameter: Any) -> Any:
    return parameter.type_descriptor.annotation


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def help_texts() -> dict[str, list[str]]:
    """The lines of ``--help``, by the words of the command."""
    found: dict[str, list[str]] = {}
    for name, _ in _every():
        status, out = run(*name.split(), "--help")
        assert status == 0, out
        found[name] = [line.rstrip() for line in _COLOUR.sub("", out).splitlines()]
    return found


def run(*args: str, stdin: str | bytes = "") -> tuple[int, str]:
    """The command in this process: its status and its standard output."""
    outcome = CliRunner().invoke(
        application(),
        list(args),
        input=stdin,
        env=ENVIRONMENT,
        prog_name="duologue",
    )
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout


# The output of --json.


def of_log(log: bytes) -> dict[str, Any]:
    """The output of ``replay`` and ``export`` for a log with fixed times."""
    found: dict[str, Any] = {}
    for command in ("replay", "export"):
        status, out = run(command, "-", "--json", stdin=log)
        assert status == 0, out
        found[command] = json.loads(out)
    return found


def shapes() -> dict[str, list[str]]:
    """The shape of the output of commands that depend on time or machine."""
    with _service() as url:
        at = ("--base-url", url)
        found = {
            "token": _one(*("token", "--json"), *at),
            "say": _one(*("say", "hello", "--text-only", "--json"), *at),
            "talk": _talk(url),
            "doctor": _one(*("doctor", "--json", "--no-reach"), *at),
        }
    for check in found["doctor"]["checks"]:
        # The key is absent without problems.
        check["advice"] = str(check["advice"])
    found["local"] = _first_line("local", "--json")
    found["web"] = _first_line("web", "--local", "--port", "0", "--json")
    return {name: shape(value) for name, value in found.items()}


def shape(value: Any, path: str = "") -> list[str]:
    """The paths of a JSON value with their types, sorted."""
    return sorted(set(_shape(value, path)))


def _shape(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{path or '/'} object"
        for key, one in value.items():
            yield from _shape(one, f"{path}/{key}")
    elif isinstance(value, list):
        yield f"{path or '/'} array"
        for one in value:
            yield from _shape(one, f"{path}/*")
    else:
        kinds = {bool: "boolean", int: "number", float: "number", str: "string"}
        yield f"{path or '/'} {kinds.get(type(value), 'null')}"


def _one(*args: str, stdin: str = "") -> Any:
    status, out = run(*args, stdin=stdin)
    # The doctor's exit status depends on the machine.
    assert status == 0 or args[0] == "doctor", out
    return json.loads(out)


def _talk(url: str) -> Any:
    """In a separate process, because it reads the descriptor of standard input."""
    options = ("--text", "--transport", "websocket", "--json", "--base-url", url)
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "talk", *options],
        input=b"hello\n",
        capture_output=True,
        env=child_environment(),
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


@contextlib.contextmanager
def _service() -> Iterator[str]:
    """The base URL of a local service in a thread, without speech."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    service = LocalService(parts=Parts())
    asyncio.run_coroutine_threadsafe(service.__aenter__(), loop).result(60)
    try:
        yield service.base_url
    finally:
        leaving = service.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(leaving, loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def child_environment(**changes: str) -> dict[str, str]:
    """The environment without keys, with the source roots on the path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "DUOLOGUE_"))
    }
    path = os.pathsep.join(str(TOP / root) for root in _ROOTS)
    return {**kept, "PYTHONPATH": path, **changes}


def _first_line(*args: str) -> Any:
    """The first line of a serving command."""
    with subprocess.Popen(
        [sys.executable, "-m", "duologue", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        cwd=Path(__file__).parent,
    ) as process:
        assert process.stdout is not None
        try:
            return json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
