from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from itertools import count
from typing import Any

import hiredis
import pytest
from redis_server import RedisServer, redis_server

from pode_signals.backplane.redis.keys import Keys
from pode_signals.backplane.redis.scripts import APPEND, CATCH_UP, FORGET, OPEN, RESUME, Script

KEYS = Keys("test")
HASH_MS = 3_600_000


class Scripts:
    """Runs the scripts of the log on a real Redis, as one node after the other would."""

    def __init__(self, server: RedisServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), 10)
        self._reader = hiredis.Reader(encoding="utf-8")
        self.name = "Room"
        self._salts = count(1)

    def end(self) -> None:
        self._socket.close()

    def call(self, *words: Any) -> Any:
        """The answer of Redis; an error is raised."""
        self._socket.sendall(hiredis.pack_command(words))
        found = self._next()
        if isinstance(found, hiredis.ReplyError):
            raise found
        return found

    def heard(self) -> str:
        """The next message of the channel that was subscribed to."""
        content: str = self._next()[2]
        return content

    def _next(self) -> Any:
        while (found := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65_536))
        return found

    def run(self, script: Script, *words: Any) -> Any:
        return self.call("EVAL", script.text, 2, *KEYS.log(self.name), *words)

    def append(
        self,
        number: int,
        *,
        writer: str = "w",
        data: str = "x",
        entries: int | str = 100,
        size_bytes: int | str = 1_000_000,
        age_ms: int | str = 300_000,
        seen: tuple[str, str] = ("", ""),
    ) -> Any:
        salt = next(self._salts)
        return self.run(
            APPEND,
            *(KEYS.channel(self.name), "abcdef", writer, number, salt, data, entries, size_bytes, age_ms, HASH_MS),
            *(*seen, len(data)),
        )

    def catch_up(self, epoch: str, offset: str, *ids: str, witness: str = "", new: str = "fedcba") -> Any:
        return self.run(
            CATCH_UP,
            *(KEYS.channel(self.name), epoch, offset, new, 100, HASH_MS, "100 1000000 300000"),
            *(witness or offset or "0-0", *ids),
        )

    def resume(self, epoch: str, offset: str, until: str = "+") -> tuple[int, list[str]]:
        code, _, entries = self.run(RESUME, epoch, offset, until, 100)
        return code, [fields[3] for _, fields in entries]

    def stored(self) -> list[str]:
        return [fields[3] for _, fields in self.call("XRANGE", KEYS.log(self.name)[0], "-", "+")]

    def meta(self, *fields: str) -> list[str]:
        found: list[str] = self.call("HMGET", KEYS.log(self.name)[1], *fields)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def scripts(server: RedisServer) -> Iterator[Scripts]:
    scripts = Scripts(server)
    scripts.call("FLUSHALL")
    yield scripts
    scripts.end()


def test_appended_and_published(scripts: Scripts, server: RedisServer) -> None:
    """S17.2: an entry gets the next number and the salt, and is published behind what says where it is."""
    hears = Scripts(server)
    hears.call("SUBSCRIBE", KEYS.channel("Room"))
    assert scripts.append(1, data="a") == [1, "abcdef", "1-1"]
    assert scripts.append(2, data="b") == [1, "abcdef", "2-2"]
    assert [hears.heard() for _ in range(2)] == ["labcdef 1-1 a", "labcdef 2-2 b"]
    hears.end()


def test_a_repeated_call_appends_once(scripts: Scripts) -> None:
    """S17.2: a number that was taken is not taken again, whatever comes with it."""
    scripts.append(1, data="a")
    assert scripts.append(1, data="a") == [0, "abcdef", "1-1"]
    scripts.append(2, data="b")
    assert scripts.append(1, data="z")[0] == 0
    assert scripts.stored() == ["a", "b"]


def test_a_number_is_missing(scripts: Scripts) -> None:
    """S17.2: where an entry before this one is not in the log, nothing is written."""
    scripts.append(1)
    assert scripts.append(3) == [-1, "abcdef", "1-1"]
    assert scripts.append(2, writer="new") == [-1, "abcdef", "1-1"]
    assert scripts.stored() == ["x"]


@pytest.mark.parametrize("seen", [("abcdef", "3-9"), ("abcdef", "2-9"), ("zzzzzz", "1-1")])
def test_a_witness(scripts: Scripts, seen: tuple[str, str]) -> None:
    """S17.2: a writer that has seen what the log has not, or another log, writes nothing."""
    scripts.append(1)
    scripts.append(2)
    assert scripts.append(3, seen=seen) == [-1, "abcdef", "2-2"]
    assert scripts.append(3, seen=("abcdef", "1-1"))[0] == 1
    assert scripts.append(4, seen=("abcdef", "3-4"))[0] == 1


def test_a_witness_of_a_log_that_is_gone(scripts: Scripts) -> None:
    """S17.2: a log of which nothing is left is not begun anew by a writer that has seen it."""
    assert scripts.append(1, seen=("abcdef", "4-4")) == [-1, "", "0-0"]
    assert scripts.stored() == []


@pytest.mark.parametrize("take", [1, 2], ids=["on its way", "behind"])
def test_an_incarnation_that_was_ended(scripts: Scripts, take: int) -> None:
    """S17.2: the end of an incarnation says what the log took last; what comes later of it is not taken."""
    scripts.append(1)
    assert scripts.run(OPEN, "w", HASH_MS).rpartition(":")[0] == "1:1-1"
    assert scripts.append(1 + take)[0] == -3
    assert scripts.run(OPEN, "w", HASH_MS).rpartition(":")[0] == "1:1-1"
    assert scripts.append(1, writer="w2")[0] == 1
    assert scripts.run(OPEN, "unknown", HASH_MS) == ""
    assert scripts.append(1, writer="unknown")[0] == -3


def test_the_limits(scripts: Scripts) -> None:
    """S17.2: the oldest entries are dropped for their number and their bytes; the newest one is kept."""
    for number in range(1, 8):
        scripts.append(number, data=str(number), entries=3)
    assert (scripts.stored(), scripts.meta("floor", "b")) == (["5", "6", "7"], ["4-4", "3"])
    scripts.append(8, data="12345678", size_bytes=5)
    assert (scripts.stored(), scripts.meta("floor", "b")) == (["12345678"], ["7-7", "8"])


def test_many_small_entries_before_a_large_one(scripts: Scripts) -> None:
    """S17.2: one large entry drops as many small ones as it has to."""
    for number in range(1, 201):
        scripts.append(number, entries=1_000)
    scripts.append(201, data="y" * 300, entries=1_000, size_bytes=310)
    assert (len(scripts.stored()), scripts.meta("b")) == (11, ["310"])


def test_the_age(scripts: Scripts) -> None:
    """S17.2: entries that are too old are dropped with the next one, and a log without further entries by itself."""
    scripts.append(1, age_ms=60_000)
    scripts.append(2, age_ms=1)
    assert scripts.call("PEXPIRE", KEYS.log("Room")[0], 0) == 1
    assert (scripts.stored(), scripts.resume("abcdef", "2-2"), scripts.resume("abcdef", "1-1")) == (
        [],
        (1, []),
        (0, []),
    )
    scripts.append(3)
    assert (scripts.stored(), scripts.meta("floor", "b"), scripts.resume("abcdef", "2-2")) == (
        ["x"],
        ["2-2", "1"],
        (1, ["x"]),
    )


def test_without_its_hash_a_log_begins_anew(scripts: Scripts) -> None:
    """S17.2: what is left of a log whose hash is gone is no part of the next one."""
    scripts.append(1, data="old")
    scripts.call("DEL", KEYS.log("Room")[1])
    assert scripts.append(2) == [-1, "", "0-0"]
    assert scripts.append(1, writer="w2", data="new") == [1, "abcdef", "1-3"]
    assert scripts.stored() == ["new"]


def test_a_writer_that_does_not_know_how_much_is_kept(scripts: Scripts) -> None:
    """S17.2: such a writer makes no log, and writes into one as the nodes say that follow it."""
    unknown: dict[str, Any] = {"entries": "", "size_bytes": "", "age_ms": ""}
    assert scripts.append(1, **unknown) == [-5, "", ""]
    assert scripts.call("EXISTS", *KEYS.log("Room")) == 0
    scripts.catch_up("", "")
    for number in range(1, 102):
        assert scripts.append(number, **unknown)[0] == 1
    assert len(scripts.stored()) == 100
    assert scripts.call("PTTL", KEYS.log("Room")[0]) > 290_000


def test_old_writers_are_forgotten(scripts: Scripts) -> None:
    """S17.2: each thousandth entry takes the incarnations out that have not written for an hour."""
    scripts.append(1)
    scripts.call("HSET", KEYS.log("Room")[1], "w:old", "7:1-1:5", "w:ended", "closed:3:1-1:4:5", "s", "999")
    scripts.append(2)
    assert scripts.meta("w:old", "w:ended") == [None, None]
    assert scripts.meta("w:w") != [None]


def test_a_node_begins(scripts: Scripts) -> None:
    """S17.2: a node without a position begins at the top, of a new log too."""
    assert scripts.catch_up("", "") == [0, "fedcba", "0-0", "0-0", []]
    scripts.append(1, seen=("fedcba", "0-0"))
    assert scripts.catch_up("", "") == [0, "fedcba", "1-1", "1-1", []]


def test_a_node_goes_on(scripts: Scripts) -> None:
    """S17.2: a node whose position is in the log, or is where the log begins, gets what follows."""
    scripts.catch_up("", "", new="abcdef")
    for number in range(1, 6):
        scripts.append(number, data=str(number), entries=3)
    for offset, follows in (("5-5", ""), ("3-3", "45"), ("2-2", "345")):
        code, _, top, since, entries = scripts.catch_up("abcdef", offset)
        assert (code, top, since) == (1, "5-5", offset)
        assert "".join(fields[3] for _, fields in entries) == follows


def test_a_node_is_late(scripts: Scripts) -> None:
    """S17.2: a node whose position was dropped is told, and gets what there is."""
    for number in range(1, 6):
        scripts.append(number, data=str(number), entries=2)
    code, epoch, top, since, entries = scripts.catch_up("abcdef", "1-1")
    assert (code, epoch, top, since, len(entries)) == (-2, "abcdef", "5-5", "3-3", 2)


@pytest.mark.parametrize(("offset", "witness"), [("9-9", ""), ("2-9", ""), ("1-1", "9-9")])
def test_the_log_went_back(scripts: Scripts, server: RedisServer, offset: str, witness: str) -> None:
    """S17.2: a node that has seen what the log lacks begins a new epoch, for which it tells the ids that it has; every
    node hears of that, and gets what others have written meanwhile.
    """
    hears = Scripts(server)
    hears.call("SUBSCRIBE", KEYS.channel("Room"))
    scripts.append(1, data="a")
    scripts.append(2, data="theirs")
    assert scripts.catch_up("abcdef", offset, witness=witness)[0] == -4
    assert scripts.meta("e") == ["abcdef"]
    code, epoch, top, since, entries = scripts.catch_up("abcdef", offset, offset, "1-1", witness=witness)
    assert (code, epoch, since, [fields[3] for _, fields in entries]) == (-1, "fedcba", "1-1", ["theirs"])
    assert int(top.partition("-")[0]) > 1_000
    assert [hears.heard() for _ in range(3)][2] == f"lfedcba {top} "
    # Another node, which had less.
    assert scripts.catch_up("abcdef", "1-1")[:4] == [-1, "fedcba", top, "1-1"]
    assert scripts.resume("abcdef", "1-1") == (0, [])
    scripts.append(1, writer="w2", data="b", seen=("fedcba", top))
    assert scripts.catch_up("fedcba", top)[4][0][1][3] == "b"
    assert scripts.resume("fedcba", top) == (1, ["b"])
    hears.end()


def test_entries_before_a_new_epoch_are_dropped_first(scripts: Scripts) -> None:
    """S17.2: where old entries go, the place where the epoch begins stays known."""
    scripts.append(1)
    top = scripts.catch_up("abcdef", "9-9", "9-9")[2]
    scripts.append(1, writer="w2", data="b", entries=1)
    assert (scripts.stored(), scripts.meta("floor"), scripts.resume("fedcba", top)) == (["b"], [top], (1, ["b"]))


def test_nothing_in_common(scripts: Scripts) -> None:
    """S17.2: where none of the node's ids is in the log, it goes on where the new epoch begins."""
    scripts.append(1)
    code, _, top, since, entries = scripts.catch_up("abcdef", "9-9", "9-9", "8-8")
    assert (code, since == top, entries) == (-1, True, [])


def test_a_log_that_somebody_forgot(scripts: Scripts) -> None:
    """S17.2: a log that was dropped has another epoch the next time, and who had a position is told."""
    scripts.append(1)
    scripts.run(FORGET)
    assert scripts.catch_up("abcdef", "1-1") == [-1, "fedcba", "0-0", "0-0", []]


@pytest.mark.parametrize("offset", ["9999999999999999-1", "0-1", "1-2", "18446744073709551615-0"])
def test_a_position_that_a_client_made_up(scripts: Scripts, offset: str) -> None:
    """S17.2: a position that no node gave changes nothing for anybody else."""
    scripts.append(1)
    before = scripts.call("HGETALL", KEYS.log("Room")[1])
    assert scripts.resume("abcdef", offset) == (0, [])
    assert scripts.resume("zzzzzz", "1-1") == (0, [])
    assert scripts.call("HGETALL", KEYS.log("Room")[1]) == before


def test_a_part_of_the_log(scripts: Scripts) -> None:
    """S17.2: entries are given up to one, and none where the position is behind it."""
    for number in range(1, 5):
        scripts.append(number, data=str(number))
    assert scripts.resume("abcdef", "1-1", "3-3") == (1, ["2", "3"])
    assert scripts.resume("abcdef", "3-3", "2-2") == (1, [])


def test_a_channel_that_is_forbidden(scripts: Scripts) -> None:
    """S17.2: an entry that can't be published is in the log all the same, and the writer is told so."""
    scripts.call("ACL", "SETUSER", "mute", "reset", "on", ">pw", "~*", "+@all", "resetchannels")
    scripts.call("AUTH", "mute", "pw")
    assert scripts.append(1)[0] == 1
    assert scripts.stored() == ["x"]


def test_scripts_are_in_one_slot(scripts: Scripts) -> None:
    """S17.1: all keys of a name are in one slot of a Redis Cluster, whatever the name is."""
    for name in ("Room", "a{b}c", "ü/%20 :"):
        parts = {re.search(r"\{(.*)\}", key)[1] for key in (*KEYS.log(name), KEYS.channel(name))}  # type: ignore[index]
        assert len(parts) == 1
        assert not {"{", "}"}.intersection(parts.pop())
