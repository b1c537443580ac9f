"""The network guard of `tests/conftest.py` refuses before the first packet."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import NetworkGuard

#: An unassigned address of TEST-NET-1 (RFC 5737).
FAR = ("192.0.2.1", 9)
FAR_6 = ("2001:db8::1", 9)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda sock: sock.connect(FAR), id="connect"),
        pytest.param(lambda sock: sock.connect_ex(FAR), id="connect_ex"),
        pytest.param(lambda sock: sock.sendto(b"x", FAR), id="sendto"),
        pytest.param(lambda sock: sock.sendto(b"x", 0, FAR), id="sendto-flags"),
        pytest.param(lambda sock: sock.sendmsg([b"x"], [], 0, FAR), id="sendmsg"),
    ],
)
def test_a_socket_is_refused_before_the_kernel_hears_of_it(
    call: Callable[[socket.socket], Any], network_guard: NetworkGuard
) -> None:
    """The kernel assigns a port with the first packet: the socket has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(network_guard.error):
            call(sock)
        assert sock.getsockname() == ("0.0.0.0", 0)
    assert len(network_guard.refused) == 1
    network_guard.refused.clear()


def test_the_port_is_a_sign_of_a_packet() -> None:
    """The control of the test above: an allowed socket gets a port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))
        assert sock.getsockname()[1] != 0


def test_ipv6_is_refused(network_guard: NetworkGuard) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        with pytest.raises(network_guard.error):
            sock.sendto(b"x", FAR_6)
        assert sock.getsockname()[1] == 0
    network_guard.refused.clear()


def test_a_name_is_refused_before_it_is_looked_up(network_guard: NetworkGuard) -> None:
    with pytest.raises(network_guard.error):
        socket.create_connection(("example.org", 80), timeout=1)
    assert network_guard.refused == ["getaddrinfo to 'example.org'"]
    network_guard.refused.clear()


async def test_asyncio_tcp_is_refused(network_guard: NetworkGuard) -> None:
    with pytest.raises(network_guard.error):
        await asyncio.open_connection(*FAR)
    network_guard.refused.clear()


async def test_asyncio_udp_with_a_peer_is_refused(network_guard: NetworkGuard) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(network_guard.error):
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=FAR)
    network_guard.refused.clear()


async def test_asyncio_udp_fails_the_test_although_nothing_is_raised(
    network_guard: NetworkGuard,
) -> None:
    """The loop swallows errors of a datagram transport; the guard lists them."""
    loop = asyncio.get_running_loop()
    seen: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.sendto(b"x", FAR)
    transport.close()
    await asyncio.sleep(0)
    assert network_guard.refused == ["sendto to '192.0.2.1'"]
    assert [type(error) for error in seen] == [network_guard.error]
    network_guard.refused.clear()


async def test_asyncio_udp_on_loopback_goes_through() -> None:
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[bytes] = loop.create_future()

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            heard.set_result(data)

    ear, _ = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
    mouth, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    mouth.sendto(b"hello", ear.get_extra_info("sockname"))
    assert await asyncio.wait_for(heard, 5) == b"hello"
    mouth.close()
    ear.close()
    await asyncio.sleep(0)


async def test_tcp_on_localhost_and_unix_sockets_go_through(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    path = tmp_path / "socket"
    unix = await asyncio.start_unix_server(serve, path)
    tcp = await asyncio.start_server(serve, "localhost", 0, family=socket.AF_INET)
    async with unix, tcp:
        port = tcp.sockets[0].getsockname()[1]
        for reader, writer in (
            await asyncio.open_unix_connection(path),
            await asyncio.open_connection("localhost", port, family=socket.AF_INET),
        ):
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()


def test_a_swallowed_refusal_fails_the_test(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Code that catches all exceptions does not hide the attempt (a separate run)."""
    conftest = pytestconfig.rootpath / "tests" / "conftest.py"
    (tmp_path / "conftest.py").write_bytes(conftest.read_bytes())
    (tmp_path / "test_it.py").write_text(
        "import contextlib, socket\n"
        "def test_it():\n"
        "    with socket.socket() as sock, contextlib.suppress(Exception):\n"
        '        sock.connect(("192.0.2.1", 9))\n'
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in run.stdout
    assert "left loopback: connect to '192.0.2.1'" in run.stdout
