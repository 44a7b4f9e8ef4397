"""The lines of a scenario (``*.txt`` in this folder), read into values. Nothing here runs one.

A scenario is what happens between one server and some clients, in order::

    # a remark, on a line of its own
    server send "one" name=Room                 a command to the server, see program.py
    c1 connect /room                            a command to a client: connect, cut, vanish, close, reconnect, writes
    c1 send "hello"                             a command to the application that holds the client: send, request
    c1 -> {"type":"send","message":"hello"}     the client sends a frame
    c1 <- {"type":"signal","data":"one",…}      the next frame that comes to the client
    c1 <- 101 {"Sec-WebSocket-Protocol":$p,…}   the answer to its handshake, with the headers of the answer
    c1 <- text "one"                            the next text that comes to a plain client
    c1 <- close 4000                            a close frame
    c1 <- nothing                               nothing has come that no line before this one has taken
    c1 -> nothing                               the client has sent nothing that no line before this one has taken
    c1: signal "one"                            what the application sees

In a frame ``…`` allows further members; without it the frame has these and no others. ``$x`` stands for a value: the
first time for any, from then on for the same one. A frame that no line takes is a failure, at the latest at the end.
The two directions of a client have no order with each other.

``c1 sleeps 20`` lets time pass while no timer of the client runs; all of them come late, at the end. ``c1 unplugs``
lets nothing arrive any more at either end, and neither end sees that. Only clients with a clock can do both.

``server upgrades stripped`` has the network take from later upgrades that they are any, ``swallowed`` has it lose them,
and ``pass`` lets them through. Only clients with a network can do that.

``server advance 5`` lets time pass for the server and for clients that are connected. A client that waits to come back
does so at ``reconnect``, and at no other time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["ANYTHING_MORE", "Command", "Frame", "Seen", "Step", "Variable", "read_scenario", "scenario_paths"]

ANYTHING_MORE = "…"
"""The key in a pattern that allows further members."""


@frozen
class Variable:
    """A value that the scenario does not know.

    Attributes:
        name: its name, without the ``$``.
    """

    name: str


@frozen
class Command:
    """A command to the server or to a client.

    Attributes:
        line: the number of the line.
        who: ``server``, or the name of a client.
        verb: what is to be done.
        arguments: the further words, values and variables.
        named: those that have a name.
        rest: all that follows the verb, as it stands.
    """

    line: int
    who: str
    verb: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    rest: str


@frozen
class Frame:
    """Something that goes over the wire.

    Attributes:
        line: the number of the line.
        who: the name of the client.
        is_from_server: whether it comes to the client.
        kind: ``frame``, ``text``, ``close``, ``status`` or ``nothing``.
        pattern: a frame or a text as a pattern; the code of a close frame; the status of an answer; None for nothing.
        headers: of an answer, its headers as a pattern.
    """

    line: int
    who: str
    is_from_server: bool
    kind: str
    pattern: Any
    headers: Any = None


@frozen
class Seen:
    """What the application of a client sees.

    Attributes:
        line: the number of the line.
        who: the name of the client.
        words: what it sees: words, values and variables.
        named: those that have a name.
    """

    line: int
    who: str
    words: tuple[Any, ...]
    named: dict[str, Any]


Step = Command | Frame | Seen

_HOLE = re.compile(r'"(?:[^"\\]|\\.)*"|\$([a-z][a-z0-9_]*)|…')
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_]*)=")
# JSON has no such text by chance: a scenario would have to write the control character.
_MARK = "\0$"
_DECODER = json.JSONDecoder()


def scenario_paths() -> list[Path]:
    """The files of all scenarios."""
    return sorted(Path(__file__).parent.glob("*.txt"))


def read_scenario(text: str) -> tuple[Step, ...]:
    """Read a scenario.

    Raises:
        ValueError: a line is none of a scenario; the sentence has its number.
    """
    return tuple(_steps(text))


def _steps(text: str) -> Iterator[Step]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            try:
                yield _step(number, line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _step(number: int, line: str) -> Step:
    who, _, rest = line.partition(" ")
    rest = rest.strip()
    if not rest:
        raise ValueError(f"{line!r} says nothing")
    if who.endswith(":"):
        return Seen(number, who[:-1], *_words(rest))
    if rest.startswith(("->", "<-")):
        return _frame(number, who, rest.startswith("<-"), rest[2:].strip())
    verb, _, after = rest.partition(" ")
    # What is written as it stands need not be anything that can be read.
    words, named = ((), {}) if verb == "writes" else _words(after)
    return Command(number, who, verb, words, named, after)


def _frame(number: int, who: str, is_from_server: bool, rest: str) -> Frame:
    kind, _, after = rest.partition(" ")
    if rest.startswith("{"):
        return Frame(number, who, is_from_server, "frame", _pattern(rest))
    if kind == "text":
        return Frame(number, who, is_from_server, "text", _pattern(after))
    if kind == "close" and after.isdigit():
        return Frame(number, who, is_from_server, "close", int(after))
    if kind.isdigit() and is_from_server:
        return Frame(number, who, True, "status", int(kind), _pattern(after) if after else {ANYTHING_MORE: True})
    if rest == "nothing":
        return Frame(number, who, is_from_server, "nothing", None)
    raise ValueError(f"{rest!r} is nothing that goes over the wire")


def _pattern(text: str) -> Any:
    """JSON with ``$x`` and ``…`` in it."""
    return _unmarked(json.loads(_HOLE.sub(_marked, text)))


def _marked(hole: re.Match[str]) -> str:
    """JSON in the place of a hole; what is no hole stays as it is."""
    if hole[1]:
        return json.dumps(_MARK + hole[1])
    return json.dumps(ANYTHING_MORE) + ":true" if hole[0] == ANYTHING_MORE else hole[0]


def _unmarked(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_MARK):
        return Variable(value[len(_MARK) :])
    if isinstance(value, list):
        return [_unmarked(each) for each in value]
    if isinstance(value, dict):
        return {key: _unmarked(each) for key, each in value.items()}
    return value


def _words(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Words, values and ``name=value``, with blanks between them."""
    words: list[Any] = []
    named: dict[str, Any] = {}
    text = _HOLE.sub(_marked, text)
    while text := text.lstrip():
        name = _NAME.match(text)
        value, text = _value(text[name.end() :] if name else text)
        if name:
            named[name[1]] = value
        else:
            words.append(value)
    return tuple(words), named


def _value(text: str) -> tuple[Any, str]:
    """The first value of a text, and what follows it."""
    if text.startswith(("{", "[", '"')):
        value, end = _DECODER.raw_decode(text)
        return _unmarked(value), text[end:]
    word, _, rest = text.partition(" ")
    try:
        return json.loads(word), rest
    except ValueError:
        return word, rest
