from __future__ import annotations

import pytest
from fakes import FakeTransport, connect, connected, new_signals, turn

from pode_signals import Scope, Signals
from pode_signals.core.model import Target
from pode_signals.errors import UnknownName
from pode_signals.signals import hub_of


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


@pytest.fixture
def people(signals: Signals) -> list[FakeTransport]:
    """Three of one name, two of them in groups, one of another, and a local one."""
    return [
        connect(signals, "Msg", group="red", client_id="1"),
        connect(signals, "Msg", group="blue", client_id="2"),
        connect(signals, "Msg", client_id="3"),
        connect(signals, "Other", group="red", client_id="1"),
        connect(signals, "Local", group="red", client_id="1", scope=Scope.LOCAL),
    ]


def test_asking(signals: Signals, people: list[FakeTransport]) -> None:
    """S10.1: names, groups, client ids and counts, from the moment of the conversion."""
    assert signals.names() == ("Msg", "Other")
    assert signals.groups("Msg") == ("red", "blue")
    assert signals.client_ids("Msg") == ("1", "2", "3")
    assert signals.client_ids("Msg", group="red") == signals.client_ids("Msg", "red") == ("1",)
    assert signals.client_ids("Msg", "green") == ()
    assert (signals.has_name("Msg"), signals.has_name("msg"), signals.has_name("Local")) == (True, False, False)
    assert (signals.count("Msg"), signals.count("Other"), signals.count("Nobody"), signals.count()) == (3, 1, 0, 4)


def test_has_client_id(signals: Signals, people: list[FakeTransport]) -> None:
    """S10.1: a client id is asked for within a name, and a group where one is given."""
    for arguments, expected in (
        (("Msg", "1"), True),
        (("Msg", "1", "red"), True),
        (("Msg", "1", "blue"), False),
        (("Msg", "3", "red"), False),
        (("Other", "2"), False),
        (("Nobody", "1"), False),
        (("Local", "1"), False),
    ):
        assert signals.has_client_id(*arguments) is expected, arguments


def test_connections(signals: Signals, people: list[FakeTransport]) -> None:
    """S10.1: connections by name, by group and by client id; none where nobody is."""
    one, two, three, other, _ = (person.connection for person in people)
    assert signals.connections("Msg") == (one, two, three)
    assert signals.connections("Msg", group="red") == (one,)
    assert signals.connections("Msg", "green") == signals.connections("Nobody") == ()
    assert signals.connection("Msg", "1") is one
    assert signals.connection("Other", "1") is other
    assert signals.connection("Other", "2") is signals.connection("Nobody", "1") is None


def test_unknown_names(signals: Signals, people: list[FakeTransport]) -> None:
    """S10.1: an unknown name is UnknownName for groups and client ids, a LookupError that has the name."""
    for ask in (signals.groups, signals.client_ids):
        with pytest.raises(UnknownName) as raised:
            ask("Nobody")
        assert raised.value.name == "Nobody"
        assert isinstance(raised.value, LookupError)


def test_every_open_connection(signals: Signals, people: list[FakeTransport]) -> None:
    """S10.1: the service finds local connections as well, and those of one client id over all names."""
    assert set(signals.open_connections()) == {person.connection for person in people}
    assert set(hub_of(signals).registry.select(Target(None, (), ("1",)))) == {
        people[0].link,
        people[3].link,
    }


@pytest.mark.parametrize("way", ["closes", "vanishes", "close"])
def test_nothing_is_left(signals: Signals, people: list[FakeTransport], way: str) -> None:
    """S10.3: nothing is left of a name or group when its last connection leaves, whatever way."""
    turn(signals)
    one, two, three, *_ = people
    for person in (two, one, three):
        {"closes": person.closes, "vanishes": person.vanishes, "close": person.connection.close}[way]()
        if person is two:
            assert signals.groups("Msg") == ("red",)
        if person is one:
            assert (signals.groups("Msg"), signals.client_ids("Msg")) == ((), ("3",))
    assert (signals.names(), signals.count(), signals.has_name("Msg")) == (("Other",), 1, False)
    with pytest.raises(UnknownName):
        signals.groups("Msg")


def test_answers_do_not_change(signals: Signals) -> None:
    """S10.1: an answer is what was true when it was asked, so connections may leave while one goes over it."""
    for _ in range(5):
        connected(signals)
    answer = signals.connections("Msg")
    for connection in answer:
        connection.close()
    assert (len(answer), signals.connections("Msg")) == (5, ())
