from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.history import History, HistoryLimits, Position
from pode_signals.core.model import Target
from pode_signals.core.resume import (
    MAX_TOKEN_CHARACTERS,
    RESUME_PREFIX,
    Ahead,
    Lost,
    Recovered,
    ResumeRequest,
    continuation,
    read_resume,
    without_resume,
)

EPOCH, OFFSET = "k3v9q2", "41-834417733082114"
POSITION = Position(EPOCH, OFFSET)


@pytest.mark.parametrize(
    ("text", "position", "token"),
    [
        (f"{EPOCH}.{OFFSET}", POSITION, None),
        (f"{EPOCH}.{OFFSET}.WzEsMTc5", POSITION, "WzEsMTc5"),
        (f"{EPOCH}.{OFFSET}..eJy.s-_g", POSITION, ".eJy.s-_g"),
        ("-.-.WzEs.c2ln", None, "WzEs.c2ln"),
        ("-.-..eJy.c2ln", None, ".eJy.c2ln"),
        ("abcdef.0-0", Position("abcdef", "0-0"), None),
        (f"{'z9' * 8}.{'9' * 16}-{'9' * 16}", Position("z9" * 8, f"{'9' * 16}-{'9' * 16}"), None),
        (f"{EPOCH}.{OFFSET}.{'t' * MAX_TOKEN_CHARACTERS}", POSITION, "t" * MAX_TOKEN_CHARACTERS),
    ],
)
def test_resume_texts(text: str, position: Position | None, token: str | None) -> None:
    """P54: a text has a position, a token or both, and all behind the third dot is the token, dots included."""
    assert read_resume(text) == ResumeRequest(position, token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "-.-",
        "-.-.",
        "..",
        EPOCH,
        f"{EPOCH}.",
        f"{EPOCH}.{OFFSET}.",
        f"{EPOCH}.-",
        f"-.{OFFSET}",
        f"-.{OFFSET}.token",
        f"{EPOCH}.-.token",
        f"abcde.{OFFSET}",
        f"{'a' * 17}.{OFFSET}",
        f"Abcdef.{OFFSET}",
        f"k3v9q\u0662.{OFFSET}",
        f"{EPOCH}.41",
        f"{EPOCH}.41-",
        f"{EPOCH}.-41",
        f"{EPOCH}.4\u0661-1",
        f"{EPOCH}.041-1",
        f"{EPOCH}.41-01",
        f"{EPOCH}.{'9' * 17}-1",
        f"{EPOCH}.1-{'9' * 17}",
        f"{EPOCH}.1-2-3",
        f"{EPOCH}.{OFFSET}.to ken",
        f"{EPOCH}.{OFFSET}.t\u00f6ken",
        f"{EPOCH}.{OFFSET}.token\n",
        f"{EPOCH}.{OFFSET}\n",
        f"{EPOCH}.{OFFSET}.token=",
        f"{EPOCH}.{OFFSET}.{'t' * (MAX_TOKEN_CHARACTERS + 1)}",
        f"pode.resume.{EPOCH}.{OFFSET}",
        f" {EPOCH}.{OFFSET}",
    ],
    ids=ascii,
)
def test_malformed_texts(text: str) -> None:
    """P52: a text that is malformed is passed over."""
    assert read_resume(text) is None


@given(st.text() | st.from_regex(r"[a-z0-9.-]{0,30}", fullmatch=True))
def test_any_text(text: str) -> None:
    """P52: no text makes reading raise, and what is read is written as it came."""
    found = read_resume(text)
    if found is not None:
        position = "-.-" if found.position is None else f"{found.position.epoch}.{found.position.offset}"
        assert text == position + ("" if found.token is None else f".{found.token}")
        assert found.position is not None or found.token is not None


def test_the_token_is_not_in_the_repr() -> None:
    """P53: a repr of what a client offers has no token."""
    assert "secret" not in repr(ResumeRequest(POSITION, "secret"))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"chat", b"chat"),
        (b"chat,  v2", b"chat,  v2"),
        (b"pode.signals.v1, pode.resume.-.-.secret", b"pode.signals.v1"),
        (b"pode.resume.-.-.secret,chat", b"chat"),
        (b"a,pode.resume.secret ,  b,pode.resume.secret", b"a, b"),
        (b"pode.resume.secret", b""),
        (b"a b, \x85pode.resume.secret", b"a b"),
        (b"a, x pode.resume.secret \x00", b"a"),
        (b"", b""),
    ],
)
def test_without_resume(value: bytes, kept: bytes) -> None:
    """P53: a line of Sec-WebSocket-Protocol, good or malformed, keeps all subprotocols but those that may be tokens."""
    assert without_resume(value) == kept


@given(st.binary(), st.binary().map(lambda data: data.replace(b",", b"")), st.binary())
def test_without_resume_for_any_line(before: bytes, token: bytes, after: bytes) -> None:
    """P53: whatever stands before and behind it, no resume text stays."""
    assert RESUME_PREFIX not in without_resume(before + b"," + RESUME_PREFIX + token + b"," + after)


def positions(*, messages: int = 5) -> tuple[History, list[Position]]:
    """A log of the last five messages of eight, and the positions of all of them."""
    history = History(EPOCH, HistoryLimits(messages=messages))
    found = [history.position]
    found += [history.append(Target(("Room",)), b"1", None, salt=salt, now=0).position for salt in range(8)]
    return history, found


def test_what_the_log_still_has() -> None:
    """P37, P43: a client whose missed messages are all in the log is recovered from its own position, and no other."""
    history, found = positions()
    node = found[-1]
    for number, position in enumerate(found):
        has_all = history.missed(position, node).complete
        goes_on = continuation(position, node, has_all_after=has_all, identity_is_whole=True)
        assert goes_on == (Recovered(position) if number >= 3 else Lost())


def test_a_node_that_is_behind() -> None:
    """P44: a client that has seen more than its node is ahead of the node, and one that has seen the same is not."""
    history, found = positions()
    node = found[5]
    for number in range(3, 9):
        has_all = history.missed(found[number], node).complete
        goes_on = continuation(found[number], node, has_all_after=has_all, identity_is_whole=True)
        assert goes_on == (Ahead(found[number]) if number > 5 else Recovered(found[number]))


@pytest.mark.parametrize(
    "position",
    [
        Position("another", "8-7"),
        Position(EPOCH, "8-8"),
        Position(EPOCH, "9-7"),
        Position(EPOCH, "0-0"),
        Position(EPOCH, "8-7 "),
        Position(EPOCH, "nonsense"),
        Position("", ""),
    ],
)
def test_positions_that_are_none(position: Position) -> None:
    """P41: with another epoch, an unknown offset, or the right sequence and another salt, messages may be lost."""
    history, found = positions()
    has_all = history.missed(position, found[-1]).complete
    assert continuation(position, found[-1], has_all_after=has_all, identity_is_whole=True) == Lost()


def test_another_epoch_than_the_nodes() -> None:
    """P41: with another epoch than the node's messages may be lost, even if the log knows that epoch."""
    node = Position("another", "9-1")
    assert continuation(POSITION, node, has_all_after=True, identity_is_whole=True) == Lost()


def test_the_rest_of_what_has_to_be_there() -> None:
    """P49: without a position of both, without the whole log, and without the whole identity messages may be lost."""
    assert continuation(None, POSITION, has_all_after=True, identity_is_whole=True) == Lost()
    assert continuation(POSITION, None, has_all_after=True, identity_is_whole=True) == Lost()
    assert continuation(POSITION, POSITION, has_all_after=False, identity_is_whole=True) == Lost()
    assert continuation(POSITION, POSITION, has_all_after=True, identity_is_whole=False) == Lost()
    assert continuation(POSITION, POSITION, has_all_after=True, identity_is_whole=True) == Recovered(POSITION)
