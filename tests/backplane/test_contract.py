from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pode_signals.backplane.contract as contract
from pode_signals.backplane.contract import Answers, Member, PresenceChange, Question
from pode_signals.errors import BackplaneUnavailable, HistoryUnavailable, PodeSignalsError, UnknownHistory


def imported(source: str) -> set[str]:
    """The modules that a source imports, with their dots where they are relative."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def test_twisted_is_deferreds() -> None:
    """S17.1: the contract knows Twisted's Deferreds, and of the package what lies below it."""
    assert contract.__file__ is not None
    modules = imported(Path(contract.__file__).read_text(encoding="utf-8"))
    assert {each for each in modules if each.startswith("twisted")} == {"twisted.internet.defer"}
    assert {each.split(".")[2] for each in modules if each.startswith("..")} == {"core", "wire"}


def test_imports_are_found() -> None:
    """S17.1: the check above sees each way to import."""
    source = "import twisted.web as web\nfrom twisted.internet import defer\ndef f():\n from ..hub.hub import Hub"
    assert imported(source) == {"twisted.web", "twisted.internet", "..hub.hub"}


@pytest.mark.parametrize(
    ("value", "attribute"),
    [(Member("Room", "ada"), "user"), (PresenceChange(), "left"), (Question("count"), "body"), (Answers({}), "given")],
)
def test_values_are_frozen(value: object, attribute: str) -> None:
    """S17.1: what nodes tell each other can't be changed."""
    with pytest.raises(AttributeError):
        setattr(value, attribute, None)


def test_members_are_compared_as_json() -> None:
    """S17.1: members are equal where all of them is, their info as JSON; and they have a hash, whatever the info is."""
    assert Member("Room", "ada", info={"a": [1]}) == Member("Room", "ada", info={"a": [1]})
    assert len({Member("Room", "ada", info=info) for info in ({"a": 1}, {"a": 1}, {"a": True}, {"a": 1.0}, None)}) == 4
    assert Member("Room", "ada") != Member("Room", "ada", ("red",))
    assert Member("Room", "ada", user="lovelace") != Member("Room", "ada")


def test_errors() -> None:
    """S17.3: what fails for the nodes' sake says why, and whether a message may be in the log all the same."""
    error = HistoryUnavailable("no answer in 30 s", "unknown")
    assert isinstance(error, BackplaneUnavailable)
    assert (error.why, error.outcome, str(error)) == (
        "no answer in 30 s",
        "unknown",
        "the backplane can't do this: no answer in 30 s",
    )
    assert isinstance(UnknownHistory("Room"), LookupError)
    assert issubclass(BackplaneUnavailable, PodeSignalsError)
    assert "'Room'" in str(UnknownHistory("Room"))
