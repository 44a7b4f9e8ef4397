"""Messages and frames on real sockets, good and bad ones: what comes of them, and that others go on."""

from __future__ import annotations

import pytest
from integration.plugs import LIMIT_SECONDS, Server, each_kind, serving, until
from twisted.internet.threads import deferToThread
from web_fakes import BINARY, CLOSE, close_frame, frame, message

BAD_MESSAGES = {
    "not JSON": "{",
    "nothing": "",
    "text": '"text"',
    "a list": '[{"message": 1}]',
    "null": "null",
    "a number": "1",
    "two objects": '{"message": 1}{"message": 1}',
    "direct as text": '{"message": 1, "direct": "false"}',
    "direct as a number": '{"message": 1, "direct": 1}',
    "path as a number": '{"message": 1, "path": 1}',
    "path as a list": '{"message": 1, "path": ["a"]}',
    "group as an object": '{"message": 1, "group": {}}',
    "group as a flag": '{"message": 1, "group": true}',
    "clientId as a number": '{"message": 1, "clientId": 1.5}',
    "clientId with null": '{"message": 1, "clientId": [null]}',
    "101 groups": '{"message": 1, "group": [' + ",".join(['"g"'] * 101) + "]}",
    "NaN": '{"message": NaN}',
    "Infinity": '{"message": Infinity}',
    "-Infinity": '{"message": [-Infinity]}',
    "a number too large": '{"message": 1e999}',
    "too deep": '{"message": ' + "[" * 32 + "]" * 32 + "}",
    "far too deep": '{"message": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "too many digits": '{"message": ' + "1" * 5_000 + "}",
    "a lone surrogate": '{"message": "\\ud800"}',
    "a lone surrogate in a key": '{"message": {"\\udc00": 1}}',
    "too many keys": '{"message": {' + ",".join(f'"{number}": 1' for number in range(1_000)) + "}}",
    "no message": '{"path": "Msg"}',
    "a byte order mark": '\ufeff{"message": 1}',
}


async def test_bad_messages() -> None:
    """S5.8: item by item: nothing is dispatched, it is counted, the connection stays, and so does a neighbour's."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        for what, text in BAD_MESSAGES.items():
            plug = server.plug().upgrade()
            plug.send(frame(text), message(what))
            assert plug.is_well(), what
            plug.close()
            assert neighbour.is_well(), what

    async with serving() as server:
        await deferToThread(client, server)
        assert server.messages == list(BAD_MESSAGES)
        assert server.signals.counters.messages_bad == len(BAD_MESSAGES)


async def test_good_messages_of_the_same_kind() -> None:
    """S5.8: what is just within the limits is good, and of duplicate keys the last one wins."""
    good = {
        '{"message": "a", "message": "b"}': "b",
        '{"message": ' + "[" * 31 + "]" * 31 + "}": None,
        '{"message": "\\ud83d\\ude00"}': "\U0001f600",
        '{"message": 1, "direct": true, "group": 7, "clientId": ["a", 7]}': 1,
        '{"message": {' + ",".join(f'"{number}": 1' for number in range(999)) + "}}": None,
    }

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        plug.send(*map(frame, good))
        assert plug.is_well()

    async with serving() as server:
        await deferToThread(client, server)
        assert len(server.messages) == len(good)
        assert all(want in (None, got) for want, got in zip(good.values(), server.messages, strict=True))
        assert server.signals.counters.messages_bad == 0


async def test_too_many_bad_messages() -> None:
    """S5.8: the tenth bad message within a minute closes with 1008."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        plug = server.plug().upgrade()
        plug.send(*[frame("bad")] * 9)
        assert plug.is_well()
        plug.send(frame("bad"), message("late"))
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, 1008)
        plug.send(close_frame(1008))
        assert plug.end() == "closed"
        assert neighbour.is_well()

    async with serving() as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == []
        assert (1008, "error") in server.ends


FAILURES = {
    "binary": (frame(b"x", BINARY), 1003),
    "not UTF-8": (frame(b"\xff" + b"x" * 60_000), 1007),
    "too large": (frame(b"x" * 65_537), 1009),
    "far too large": (frame(b"x" * 3_000_000), 1009),
    "unmasked": (frame(b"{}", masked=False), 1002),
    "a bad opcode": (frame(b"x" * 70_000, 7), 1002),
}


@each_kind
@pytest.mark.parametrize(("data", "code"), FAILURES.values(), ids=FAILURES)
async def test_failures(kind: str, data: bytes, code: int) -> None:
    """S5.8: 1003, 1007 and 1009 (S6.1, S6.2) reach the client, whatever it is still sending, and it ends cleanly."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        plug = server.plug().upgrade()
        plug.send(data, message("late"))
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, code)
        plug.send(close_frame(code))
        assert plug.end() == "closed"
        assert neighbour.is_well()

    # Nobody waits for the end that a close frame without an answer would have.
    async with serving(kind, close_timeout_seconds=10 * LIMIT_SECONDS) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == []
        assert (code, "error") in server.ends
