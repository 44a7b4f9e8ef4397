"""What a program is told where it makes a mistake: one sentence, at the line that made it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial, wraps
from typing import Any

import pytest
from fakes import connected, new_signals
from klein import Klein

import pode_signals
from pode_signals import BroadcastLevel, Scope, SignalEvent, Signals, Unrouted
from pode_signals.errors import ConfigurationInvalid


def plain(_event: object) -> None:
    """A function of the user."""


def nothing():  # type: ignore[no-untyped-def]  # as users write it
    """A function that forgets the event."""


MISTAKES: list[tuple[Callable[[Any], object], str]] = [
    (lambda signals: signals.route(plain), 'route needs its parentheses: @signals.route("/path")'),
    (lambda signals: signals.route(7), 'route takes a text, as in @signals.route("/path"), not 7'),
    (lambda signals: signals.on_connect(plain), 'on_connect needs its parentheses: @signals.on_connect("Name")'),
    (
        lambda signals: signals.on_disconnect(plain),
        'on_disconnect needs its parentheses: @signals.on_disconnect("Name")',
    ),
    (lambda signals: signals.only_on(plain), 'only_on needs its parentheses: @signals.only_on("admin")'),
    (
        lambda signals: signals.route_group("/rooms").route(plain),
        'route needs its parentheses: @group.route("/path")',
    ),
    (lambda signals: signals.add_route("/x", "print"), "add_route takes a function that can be called, not 'print'"),
    (
        lambda signals: signals.register_event("Msg", "connect", "it", None),
        "register_event takes a function that can be called, not None",
    ),
    (
        lambda signals: signals.schedule(plain),
        'schedule needs its parentheses: @signals.schedule("Name", cron="* * * * *")',
    ),
    (
        lambda signals: signals.schedule("* * * * *"),
        'schedule: missing a required argument: \'cron\'; write @signals.schedule("Name", cron="* * * * *")',
    ),
    (lambda signals: signals.timer(plain), 'timer needs its parentheses: @signals.timer("Name", interval=5)'),
    (
        lambda signals: signals.timer(),
        "timer: missing a required argument: 'name'; write @signals.timer(\"Name\", interval=5)",
    ),
    (
        lambda signals: signals.timer(5, "Tick"),
        'timer takes a text, as in @signals.timer("Name", interval=5), not 5',
    ),
    (lambda signals: signals.route("/x")(nothing), "add_route takes a function of the event, not nothing()"),
    (
        lambda signals: signals.add_route("/x", partial(plain, 1)),
        "add_route takes a function of the event, not plain()",
    ),
    (lambda signals: signals.on_connect("Msg")(nothing), "register_event takes a function of the event, not nothing()"),
    (
        lambda signals: signals.register_event("Msg", "connect", "it", plain, 1),
        "register_event takes a function of the event and 1 more argument, not plain(_event)",
    ),
    (lambda signals: signals.send("x", name=3), "name has to be a text, several texts or EVERY_NAME, not 3"),
    (
        lambda signals: signals.send("x", name=["a", 3]),
        "name has to be a text, several texts or EVERY_NAME, not ['a', 3]",
    ),
    (lambda signals: signals.send("x", name="Msg", group=3.5), "group has to be a text or several texts, not 3.5"),
    (
        lambda signals: signals.send("x", name="Msg", client_id=b"1"),
        "client_id has to be a text, a whole number or several of them, not b'1'",
    ),
    (
        lambda signals: signals.send("x", name="Msg", exclude=1.5),
        "exclude has to be a text, a whole number or several of them, not 1.5",
    ),
    (
        lambda signals: signals.send("x", "Msg"),
        "send takes the data alone without a keyword: write send(data, name='Msg')",
    ),
    (
        lambda signals: connected(signals).connection.hub.send("x", "Msg", "group"),
        "send takes the data alone without a keyword: write send(data, name='Msg')",
    ),
    (lambda signals: signals.send("x", ["Msg"], name="Msg"), "send takes the data alone without a keyword"),
]

CHOICES: list[tuple[Callable[[Any], object], str]] = [
    (
        lambda signals: signals.set_broadcast_level("GROUP"),
        "level has to be one of name, group, client_id, not 'GROUP'",
    ),
    (
        lambda signals: signals.send("x", name="Msg", mode="loud"),
        "mode has to be one of auto, direct, broadcast, not 'loud'",
    ),
    (
        lambda signals: signals.register_event("Msg", "open", "it", plain),
        "type has to be one of connect, disconnect, not 'open'",
    ),
    (
        lambda signals: signals.add_route("/x", plain, if_exists="replace"),
        "if_exists has to be one of error, overwrite, skip, not 'replace'",
    ),
]


@pytest.mark.parametrize(("mistake", "sentence"), CHOICES)
def test_a_choice_that_there_is_not(mistake: Callable[[Signals], object], sentence: str) -> None:
    """S20.5: where an argument is a choice, the sentence names all that can be chosen."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the sentence is compared as a whole
        mistake(new_signals())
    assert str(raised.value) == sentence


def test_choices_are_members_or_texts() -> None:
    """S20.5: an enumeration is taken as its member or as its text, by every method."""
    signals = new_signals()
    signals.set_broadcast_level("group", "Msg")
    signals.unrouted = "drop"  # type: ignore[assignment]  # a property has one type for mypy
    signals.default_scope = "local"  # type: ignore[assignment]
    signals.register_event("Msg", "connect", "it", plain)
    assert signals.broadcast_level("Msg") is BroadcastLevel.GROUP
    assert (signals.unrouted, signals.default_scope) == (Unrouted.DROP, Scope.LOCAL)
    assert signals.has_event("Msg", "connect")


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES)
def test_a_mistake_is_a_sentence(mistake: Callable[[Signals], object], sentence: str) -> None:
    """S20.1: a mistake is told at once, and nothing is registered or sent."""
    signals = new_signals()
    with pytest.raises(TypeError) as raised:
        mistake(signals)
    assert str(raised.value) == sentence
    assert (signals.routes(), signals.events(), signals.counters.recipients_sent) == ((), (), 0)


def with_more(function: Callable[..., object]) -> Callable[[object], object]:
    """A decorator of the user that gives a function another argument."""

    @wraps(function)
    def inner(event: object) -> object:
        return function(event, "more")

    return inner


class Called:
    """An object that can be called."""

    def __call__(self, *_: object) -> None:
        """A function of the user."""

    def method(self, _event: object) -> None:
        """A function of the user."""


@pytest.mark.parametrize(
    "function",
    [print, Called(), Called().method, Called, partial(plain), lambda *_: None, with_more(lambda _, more: more)],
)
def test_functions_that_take_an_event(function: Any) -> None:
    """S20.1: a function is refused for its parameters only where it is sure that it can't be called with the event."""
    signals = new_signals()
    signals.add_route("/x", function)
    signals.register_event("Msg", "connect", "it", function)
    assert signals.has_route("/x")


def test_a_resource_that_is_none() -> None:
    """S20.1: ``signals.resource`` refuses what is no resource, as the service does."""
    with pytest.raises(ConfigurationInvalid) as raised:
        new_signals().resource(Klein())
    assert str(raised.value) == "the resource of signals.resource is a Klein: write app.resource() in place of app"


def test_an_error_that_is_elsewhere() -> None:
    """S20.1: where an error is looked for in the package itself, the sentence says where it is; hasattr is False."""
    expected = r"^module 'pode_signals' has no attribute 'NameRequired'; NameRequired is in pode_signals\.errors$"
    with pytest.raises(AttributeError, match=expected):
        pode_signals.NameRequired  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(pode_signals, "NameRequired")
    with pytest.raises(ImportError):
        exec("from pode_signals import NameRequired")


def test_a_name_without_its_keyword_in_an_event() -> None:
    """S20.1: the send of an event tells the same."""
    signals = new_signals()
    raised: list[str] = []

    @signals.route("/ws")
    def route(event: SignalEvent) -> None:
        with pytest.raises(TypeError) as error:
            event.send("x", "Msg")  # type: ignore[arg-type]
        raised.append(str(error.value))

    client = connected(signals)
    client.says("x")
    assert raised == ["event.send takes the data alone without a keyword: write event.send(data, name='Msg')"]
    assert client.got == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Decimal(1), "data: a Decimal can't be sent as JSON"),
        ({"rows": [1, {"price": Decimal(1)}]}, "data['rows'][1]['price']: a Decimal can't be sent as JSON"),
        ([{"x" * 100: {1, 2}}], f"data[0]['{'x' * 39}]: a set can't be sent as JSON"),
    ],
)
def test_where_there_is_no_json(data: object, sentence: str) -> None:
    """S20.1: of data that can't be JSON the error says where it can't."""
    with pytest.raises(TypeError) as raised:
        new_signals().send(data, name="Msg")
    assert str(raised.value) == sentence
