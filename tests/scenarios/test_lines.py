"""How the lines of a scenario are read and compared, and that a scenario fails where a line is not true."""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.driver_memory import run_in_memory
from scenarios.lines import ANYTHING_MORE, Command, Frame, Seen, Variable, read_scenario, scenario_paths
from scenarios.matching import Bindings, Mismatch


def test_each_kind_of_line() -> None:
    """P2: commands, frames of both directions and what applications see are read, with values and variables."""
    steps = read_scenario(
        """
        # nothing
        server send {"a":[1,$x]} name=Room group=["k","$y … no hole"] clientId=$id acknowledge

        c1 -> {"type":"ack","id":$k}
        c1 <- {"type":"hello","epoch":$e,…}
        c1 <- 101 {"X-Name":"Room",…}
        c1 <- 403
        c1 <- text "{\\"a\\":1}"
        c1 <- close 4401
        c1 <- nothing
        c1: signal "…" replayed=true
        c1 writes {"type":
        """
    )
    x, k, e = Variable("x"), Variable("k"), Variable("e")
    named = {"name": "Room", "group": ["k", "$y … no hole"], "clientId": Variable("id")}
    first = steps[0]
    assert isinstance(first, Command)
    assert (first.verb, first.arguments, first.named) == ("send", ({"a": [1, x]}, "acknowledge"), named)
    assert steps[1:] == (
        Frame(5, "c1", False, "frame", {"type": "ack", "id": k}),
        Frame(6, "c1", True, "frame", {"type": "hello", "epoch": e, ANYTHING_MORE: True}),
        Frame(7, "c1", True, "status", 101, {"X-Name": "Room", ANYTHING_MORE: True}),
        Frame(8, "c1", True, "status", 403, {ANYTHING_MORE: True}),
        Frame(9, "c1", True, "text", '{"a":1}'),
        Frame(10, "c1", True, "close", 4401),
        Frame(11, "c1", True, "nothing", None),
        Seen(12, "c1", ("signal", "…"), {"replayed": True}),
        Command(13, "c1", "writes", (), {}, '{"type":'),
    )


@pytest.mark.parametrize("line", ["c1", "c1 <- what", 'c1 <- {"a":}', 'server send {"a" name=Room'])
def test_lines_that_are_none(line: str) -> None:
    """P2: a line that is none of a scenario is an error with its number."""
    with pytest.raises(ValueError, match=r"^line 2: "):
        read_scenario(f"c1 cut\n{line}")


@pytest.mark.parametrize(
    ("pattern", "value", "is_match"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, ANYTHING_MORE: True}, {"a": 1, "b": 2}, True),
        ({"a": 1, ANYTHING_MORE: True}, {"b": 2}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1], False),
        (1, True, False),
        (True, 1, False),
        (100, 100.0, True),
        ("1", 1, False),
        (None, False, False),
        ([Variable("x"), Variable("x")], [1, 1], True),
        ([Variable("x"), Variable("x")], [1, 2], False),
        ([Variable("x"), Variable("y")], [1, 2], True),
    ],
)
def test_what_matches(pattern: Any, value: Any, is_match: bool) -> None:
    """P2: a frame matches if it has these members and no others; a variable is the same value everywhere."""
    bindings = Bindings()
    if is_match:
        bindings.match(pattern, value)
    else:
        with pytest.raises(Mismatch):
            bindings.match(pattern, value)


def test_what_a_client_sends() -> None:
    """P2: a frame that is to be sent has the values of its variables; one that is not known yet gets a new one."""
    bindings = Bindings()
    bindings.match(Variable("a"), "1")
    filled = bindings.filled({"a": Variable("a"), "id": Variable("i"), "more": [Variable("j")], ANYTHING_MORE: True})
    assert filled["a"] == "1"
    assert filled == bindings.filled({"a": Variable("a"), "id": Variable("i"), "more": [Variable("j")]})
    assert filled["id"] != filled["more"][0]


_HELLO = 'c1 connect /room\nc1 <- {"type":"hello","clientId":$id,…}\n'


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("c1 connect /room\nc1 <- 403", "line 2: the status is 101"),
        ('c1 connect /room\nc1 <- {"type":"hello"}', r"line 2: \['version', "),
        ("c1 connect /room", "no line takes what went over the wire of c1: "),
        (_HELLO + 'c1 <- {"type":"beat"}', "line 3: nothing is there to be taken"),
        (_HELLO + "c1 <- close 1000", "line 3: nothing is there to be taken"),
        (_HELLO + 'server send "x" name=Room\nc1 <- nothing', "line 4: something has come: "),
        (_HELLO + 'server send "x" name=Room\nc1 <- text "x"', "line 4: .* is no text"),
        (_HELLO + 'server send "x" name=Room\nc1 cut\nc1 reconnect\n', "no line takes what went over the wire of c1: "),
        (_HELLO + "c1 close 1000\nc1 <- close 1000", "no line takes what went over the wire of c1: "),
        (_HELLO + "c1 cut\nc1 reconnect with - - abc", "line 4: the client offers "),
        (_HELLO + "server connected", "line 3: connected are "),
        (_HELLO + "server connected $id $id", "line 3: connected are "),
        (_HELLO + "server counted sends=1", "line 3: sends is 0"),
        (_HELLO + "server differ $id $id", "line 3: both are "),
        (
            _HELLO + 'server send "x" name=Room acknowledge as x\nserver delivery x',
            "line 4: that the delivery is settled",
        ),
        (_HELLO + 'server send "x" name=Room acknowledge as x\nserver delivery x gone=["a"]', "line 4: gone are "),
    ],
)
def test_lines_that_are_not_true(lines: str, sentence: str) -> None:
    """P2: a scenario fails at the line that is not true, and at its end for what no line has taken."""
    with pytest.raises(Mismatch, match=f"^{sentence}"):
        run_in_memory(read_scenario(lines))


def test_the_scenarios() -> None:
    """P2: there are scenarios, each has lines for the wire and for the application, and none is there twice."""
    texts = {path.stem: read_scenario(path.read_text(encoding="utf-8")) for path in scenario_paths()}
    assert len(texts) == len({name.partition("_")[0] for name in texts}) == 18
    for steps in texts.values():
        assert {Frame, Seen, Command} == {type(step) for step in steps}
