"""wasi:sockets and wasi:io/poll, as CPython's sockets and its asyncio use them.

The loop of asyncio wakes itself through a pair of sockets, which CPython makes on the loopback of a guest. A
server and its clients may be in one guest, too.
"""

from tests.conformance.probe import Probe


def test_a_loop_runs_and_its_tasks_take_turns(probe: Probe) -> None:
    """`asyncio.run`, which needs a listening, a connecting and an accepted socket before it does anything."""
    assert probe("""
        import asyncio, time

        seen = []

        async def count(name, turns):
            for turn in range(turns):
                seen.append(f"{name}{turn}")
                await asyncio.sleep(0)
            return name

        async def main():
            started = time.monotonic()
            both = await asyncio.gather(count("a", 2), count("b", 2), asyncio.sleep(0.01, "slept"))
            return [*both, time.monotonic() - started >= 0.01]

        result = [asyncio.run(main()), seen]
    """) == [["a", "b", "slept", True], ["a0", "b0", "a1", "b1"]]


def test_a_loop_can_be_woken_by_its_own_pair_of_sockets(probe: Probe) -> None:
    """`call_soon_threadsafe` writes a byte into the pair, whose other end the loop polls."""
    assert (
        probe("""
        import asyncio

        async def main():
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            loop.call_soon_threadsafe(woken.set_result, "woken")
            return await woken

        result = [asyncio.run(main()) for _ in range(3)]
    """)
        == ["woken"] * 3
    )


def test_a_server_and_its_clients_are_in_one_guest(probe: Probe) -> None:
    """Streams of asyncio, more bytes than any buffer holds, and the end of each direction."""
    assert (
        probe("""
        import asyncio

        async def serve(reader, writer):
            data = await reader.read()
            writer.write(data.upper())
            writer.write_eof()
            await writer.drain()
            writer.close()

        async def ask(host, port, data):
            reader, writer = await asyncio.open_connection(host, port)
            peer = writer.get_extra_info("peername")
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return peer[1] == port and answer == data.upper()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            async with server:
                return await asyncio.gather(
                    ask("127.0.0.1", port, b"hello"),
                    *(ask("127.0.0.1", port, b"x" * 300_000) for _ in range(8)),
                )

        result = asyncio.run(main())
    """)
        == [True] * 9
    )


def test_blocking_sockets_and_datagrams(probe: Probe) -> None:
    """The module `socket`: a connection by name that the guest accepts itself, and datagrams to itself."""
    assert probe("""
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.socket()
        client.connect(("localhost", listener.getsockname()[1]))
        server, address = listener.accept()
        client.sendall(b"ping")
        ping = server.recv(16)
        server.sendall(b"pong")
        server.close()
        pong = client.recv(16) + client.recv(16)

        one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for udp in (one, other):
            udp.bind(("127.0.0.1", 0))
        one.sendto(b"datagram", other.getsockname())
        datagram, source = other.recvfrom(64)

        result = [
            ping, pong, address == client.getsockname(), datagram, source == one.getsockname(),
        ]
    """) == ["ping", "pong", True, "datagram", True]


def test_nobody_at_an_address_and_nowhere_else_to_bind(probe: Probe) -> None:
    """What CPython makes of a port that is taken, an address that is another's, a peer that is not there."""
    assert probe("""
        import errno, socket

        def number_of(call, *args):
            try:
                call(*args)
            except OSError as error:
                return errno.errorcode[error.errno]

        held = socket.create_server(("127.0.0.1", 0))
        taken = socket.socket()
        foreign = socket.socket()
        lonely = socket.socket()
        lonely.bind(("127.0.0.1", 0))
        outward = socket.socket()
        result = [
            number_of(taken.bind, held.getsockname()),
            number_of(foreign.bind, ("192.0.2.1", 0)),
            number_of(lonely.connect, ("127.0.0.1", 9)),
            number_of(outward.connect, ("192.0.2.1", 9)),
        ]
    """) == ["EADDRINUSE", "EADDRNOTAVAIL", "ECONNREFUSED", "EACCES"]


def test_a_socket_that_could_not_connect_can_be_written_of(probe: Probe) -> None:
    """`repr` asks for both addresses, and CPython for that where nobody has closed it: `local-address`."""
    assert probe("""
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        listener.close()
        lost = socket.socket()
        try:
            lost.connect(address)
        except OSError as error:
            result = [type(error).__name__, repr(lost)[:15]]
        del lost
    """) == ["PermissionError", "<socket.socket "]
