"""The client's end of a WebSocket, against servers in memory that do not always keep to the protocols."""

from __future__ import annotations

from typing import Any

import pytest
from client_sessions import hello_document
from client_wires import ClientWorld, Refusing, ScriptedServer, gathered, run, served_by
from twisted.logger import capturedLogs

from pode_signals.client import ClientEvent, Closed
from pode_signals.client.session import State
from pode_signals.client.targets import read_url
from pode_signals.client.websocket import MAX_FRAME_BYTES


def closed(world: ClientWorld) -> Closed | None:
    """The last event, where the client is closed."""
    events: list[ClientEvent] = []
    run(gathered(world.client, events))
    return next((each for each in events if isinstance(each, Closed)), None)


def state(world: ClientWorld) -> State:
    """What the client is doing."""
    return world.client._session.state


class TestEnds:
    @pytest.mark.parametrize("code", [1001, 1008, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4008, 4401, None])
    def test_close_codes(self, code: int | None) -> None:
        """P86: the code and the reason of the server's close frame count, those that Autobahn does not know as well."""
        world = ClientWorld().start()
        world.server.closes(code, "so")
        world.turn()
        if code in (3999, 4000, 4401):
            assert closed(world) == Closed(code, "so")
        else:
            assert (state(world), closed(world)) == (State.WAITING, None)
        assert world.server.is_lost

    def test_the_client_answers(self) -> None:
        """P86: the client answers the close frame of the server before it hangs up."""
        world = ClientWorld().start()
        world.server.closes(1001)
        world.turn()
        assert (world.server.closed_by_client, world.server.wasClean) == (1000, True)

    @pytest.mark.parametrize("how", ["loseConnection", "abortConnection"])
    def test_without_a_close_frame(self, how: str) -> None:
        """P86: a socket that ends without a close frame is a lost connection."""
        world = ClientWorld().start()
        getattr(world.server.transport, how)()
        world.turn()
        assert (state(world), closed(world)) == (State.WAITING, None)


class TestRefusals:
    def answered(self, answer: str | bytes) -> ClientWorld:
        """A client whose first handshake had this answer."""
        raw = answer.encode("latin-1") if isinstance(answer, str) else answer
        return ClientWorld(lambda: Refusing(raw)).start().turn()

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_final_ones(self, status: int) -> None:
        """P88: the status of a refused handshake is told, and these end the client."""
        world = self.answered(f"HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno\n")
        assert closed(world) == Closed(1006, "", status)

    def test_retry_after(self) -> None:
        """P88: a client that gets 503 waits for Retry-After, and then tries again."""
        world = self.answered("HTTP/1.1 503 Full\r\nRetry-After: 100\r\n\r\n")
        world.makes = world.scripted
        world.turn(99)
        assert len(world.urls) == 1
        world.turn(3)
        assert (len(world.urls), state(world)) == (2, State.OPEN)

    @pytest.mark.parametrize("status", [426, 500, 302, 200])
    def test_those_to_try_again_after(self, status: int) -> None:
        """P88: after other answers a client tries again."""
        world = self.answered(f"HTTP/1.1 {status} What\r\n\r\n")
        world.turn(4)
        assert len(world.urls) > 1
        assert closed(world) is None

    @pytest.mark.parametrize(
        "answer",
        [
            b"\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 \xb2\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 101 x\r\nA: \xff\r\n\r\n",
            b"HTTP/1.1 101 x\r\n\r\n",
            b"HTTP/1.1 101 x\r\nno colon\r\n\r\n",
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\n" + b"A: " + b"b" * 100_000,
        ],
    )
    def test_what_is_no_answer(self, answer: bytes) -> None:
        """P88: whatever answers a handshake badly is a failed attempt, without an exception in the reactor."""
        with capturedLogs() as logs:
            world = self.answered(answer)
            assert state(world) is State.WAITING
        assert world.wires[0].disconnecting
        assert all(event["log_namespace"].startswith("pode_signals.client") for event in logs)


class TestServersThatDoNotKeepTheProtocol:
    @pytest.mark.parametrize("chooses", [None, "pode.resume.k3v9q2.3-7"])
    def test_another_subprotocol(self, chooses: str | None) -> None:
        """P2, P4: a client fails a connection whose server chooses no subprotocol, or a resume text."""
        world = ClientWorld(since="k3v9q2.3-7")

        def make() -> Any:
            server = world.scripted()
            server.chooses = chooses
            return server

        world.makes = make
        world.start().turn()
        assert not world.client.is_open
        assert world.server.is_lost
        assert closed(world) is None

    @pytest.mark.parametrize("what", ["binary", "utf8", "masked", "large", "text"])
    def test_bad_frames(self, what: str) -> None:
        """P20: binary messages, bad UTF-8, bad framing, too large a text and bad frames end the connection."""
        world = ClientWorld().start()
        server = world.server
        if what == "binary":
            server.sendMessage(b"{}", isBinary=True)
        elif what == "utf8":
            server.sendMessage(b'{"type":"\xff"}')
        elif what == "masked":
            server.transport.write(b"\x81\x82\0\0\0\0{}")
        elif what == "large":
            server.transport.write(b"\x81\x7f" + (MAX_FRAME_BYTES + 1).to_bytes(8, "big"))
        else:
            server.sendMessage(b"no frame")
        world.turn()
        assert (state(world), closed(world)) == (State.WAITING, None)
        assert world.server.is_lost
        assert world.server.closed_by_client in (1002, 1003, 1007, 1009)

    def test_a_frame_of_a_megabyte(self) -> None:
        """P20: a large signal in many fragments is taken whole."""
        world = ClientWorld().start()
        server = world.server
        server.beginMessage()
        for piece in (b'{"type":"signal","data":"', b"x" * 1_000_000, b'"}'):
            server.beginMessageFrame(len(piece))
            server.sendMessageFrameData(piece)
        server.endMessage()
        world.turn()
        assert len(world.client._session._inbox) == 2

    def test_what_comes_behind_the_end(self) -> None:
        """P61: what comes behind a close frame, in the same packet, is not delivered."""
        world = ClientWorld().start()
        # The close frame, and a signal that an honest server would not send any more.
        signal = b'{"type":"signal","data":1}'
        world.server.transport.write(b"\x88\x02\x03\xe9" + bytes((0x81, len(signal))) + signal)
        world.turn()
        assert len(world.client._session._inbox) == 1

    def test_silence_until_the_handshake(self) -> None:
        """P67: a server that accepts and says nothing is given up after 10 seconds."""
        world = ClientWorld(lambda: served_by(ScriptedServer(None))).start()
        world.wire.pauseProducing()
        world.turn(10)
        assert state(world) is State.WAITING
        assert world.server.is_lost


def test_tokens_are_in_no_log() -> None:
    """P53: neither the resume token nor the query of the URL is in a line of the log or in a repr."""
    world = ClientWorld(url="ws://example.com/room?key=secretkey", headers={"Authorization": "secretheader"})
    world.hello = hello_document(resumeToken="secrettoken")
    with capturedLogs() as logs:
        world.start()
        for _ in range(3):
            world.server.cut()
            world.turn(5)
        world.server.sendMessage(b'{"type":"hello","resumeToken":"secrettoken"}')
        world.turn()
        world.client.stopService()
        world.turn()
    assert len(world.servers) > 3
    assert any("ws://example.com:80/room" in str(event.get("target")) for event in logs)
    shown = repr(logs) + repr(world.client) + repr(world.client.hello) + repr(world.client._driver._ways)
    assert "secret" not in shown


class TestTargets:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("ws://example.com", (False, "example.com", 80, "/", "ws://example.com:80/")),
            ("wss://example.com?a=b", (True, "example.com", 443, "/?a=b", "wss://example.com:443/")),
            ("wss://[::1]:8091/a", (True, "::1", 8091, "/a", "wss://[::1]:8091/a")),
            ("ws://EXAMPLE.com:1/", (False, "example.com", 1, "/", "ws://example.com:1/")),
        ],
    )
    def test_urls(self, url: str, expected: tuple[object, ...]) -> None:
        """P2: a URL is read into what the handshake and the log need of it; the log does not get the query."""
        target = read_url(url)
        assert (target.is_secure, target.host, target.port, target.resource, str(target)) == expected

    def test_the_host_of_an_ipv6_address(self) -> None:
        """P2: the header Host has brackets around an IPv6 address."""
        world = ClientWorld(url="ws://[::1]:8091/").start()
        assert world.server.request.headers["host"] == "[::1]:8091"
