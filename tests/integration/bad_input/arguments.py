"""Calls of the public API with arguments that no call can take. Each gets a hub with one connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from math import inf, nan
from typing import Any, NamedTuple

from integration.bad_input.cases import CANARY, Call
from twisted.web.resource import Resource

from pode_signals import EVERY_NAME, BroadcastLevel, Endpoint, EventType, Scope, SendMode, Signals, SignalsService, cron
from pode_signals.errors import (
    BroadcastRefused,
    ClientIdInvalid,
    ConfigurationInvalid,
    CronInvalid,
    DataTooDeep,
    EventNotRegistered,
    MessageTooBig,
    NameInvalid,
    NameRequired,
    NoCurrentConnection,
    RouteAlreadyExists,
    SigningInUse,
    UnknownName,
    UnknownSchedule,
)
from pode_signals.hub.connection import SignalConnection
from pode_signals.signals import hub_of

__all__ = ["CASES", "Stage"]


class Stage(NamedTuple):
    """What a call may use.

    Attributes:
        signals: a hub with one open connection: name ``Msg``, client id ``neighbour``.
        connection: that connection.
        fresh: a hub of its own, with nothing in it.
    """

    signals: Signals
    connection: SignalConnection
    fresh: Signals


def _names() -> Iterator[Call]:
    def convert(**arguments: Any) -> Callable[[Stage], object]:
        given = {"name": "Msg", **arguments}
        return lambda stage: hub_of(stage.signals).identities.identify(
            given["name"], given.get("group"), given.get("client_id"), stage.connection.request
        )

    bad = {
        "empty": "",
        "of 129 characters": "n" * 129,
        "with NUL": f"{CANARY}\0",
        "with CR and LF": f"{CANARY}\r\nX: y",
        "with ESC": f"{CANARY}\x1b[2J",
        "with DEL": f"{CANARY}\x7f",
        "with 0x85": f"{CANARY}\x85",
        "with U+2028": f"{CANARY}\u2028",
        "with a lone surrogate": f"{CANARY}\ud800",
    }
    for kind in ("name", "group", "client_id"):
        for name, value in bad.items():
            yield Call(f"a {kind} {name}", convert(**{kind: value}), NameInvalid, kind.replace("_", " "))
    for kind, several in (("name", ["Msg"]), ("group", ["Msg", 5])):
        for value in (5, b"Msg", several, 1.5):
            yield Call(f"the {kind} {value!r}", convert(**{kind: value}), TypeError, "has to be a str")
    for name, value in bad.items():
        yield Call(f"to join a group {name}", lambda stage, value=value: stage.connection.join(value), NameInvalid)
        yield Call(f"to leave a group {name}", lambda stage, value=value: stage.connection.leave(value), NameInvalid)
    yield Call("to join a number", lambda stage: stage.connection.join(5), TypeError)
    yield Call(
        "to join too many groups", convert(group=[str(number) for number in range(101)]), ValueError, "max_groups"
    )
    yield Call("no name", convert(name=None), TypeError, "has to be a str")
    yield Call("a client id of 5,000 digits", lambda stage: stage.signals.new_client_id("1" * 5_000), NameInvalid)
    yield Call("a client id that looks signed", lambda stage: stage.signals.new_client_id("s:a.b"), ClientIdInvalid)
    for name in ("groups", "client_ids"):
        yield Call(
            f"{name} of a name that nobody has", lambda stage, ask=name: getattr(stage.signals, ask)("x"), UnknownName
        )


def _secrets() -> Iterator[Call]:
    for name, secret, error in (
        ("empty", "", ValueError),
        ("of no bytes", b"", ValueError),
        ("of several that are none", [], ValueError),
        ("of several, one of them empty", [CANARY, ""], ValueError),
        ("that is a number", 5, TypeError),
        ("that is None", None, TypeError),
        ("of several, one of them a number", [CANARY, 5], TypeError),
    ):
        yield Call(f"a secret {name}", lambda stage, secret=secret: stage.fresh.enable_signing(secret), error)
    yield Call(
        "a secret while a connection is open", lambda stage: stage.signals.enable_signing(CANARY * 3), SigningInUse
    )
    yield Call("no signing while a connection is open", lambda stage: stage.signals.disable_signing(), SigningInUse)

    def strict(stage: Stage) -> None:
        stage.fresh.enable_signing(CANARY * 3, strict=True)
        stage.fresh.new_client_id("a")

    def forged(stage: Stage) -> None:
        stage.fresh.enable_signing(CANARY * 3)
        stage.fresh.new_client_id("s:a.b")

    yield Call("a strict id of nobody", strict, ValueError, "strict signing needs a request")
    yield Call("a forged id", forged, ClientIdInvalid)


def _data() -> Iterator[Call]:
    circular: list[Any] = [CANARY]
    circular.append(circular)
    deep: Any = [CANARY]
    for _ in range(100_000):
        deep = [deep]
    for name, data, error in (
        ("a set", {CANARY}, TypeError),
        ("bytes", CANARY.encode(), TypeError),
        ("a Decimal", Decimal(1), TypeError),
        ("a timedelta", timedelta(1), TypeError),
        ("a complex number", 1j, TypeError),
        ("an object", object(), TypeError),
        ("a class", Call, TypeError),
        ("a function", print, TypeError),
        ("a generator", (each for each in CANARY), TypeError),
        ("a tuple for a key", {(1, 2): CANARY}, TypeError),
        ("bytes for a key", {b"a": CANARY}, TypeError),
        ("a set within", {"a": [{CANARY}]}, TypeError),
        ("NaN", nan, ValueError),
        ("Infinity within", {"a": [-inf, CANARY]}, ValueError),
        ("NaN for a key", {nan: CANARY}, ValueError),
        ("a list of itself", circular, ValueError),
        ("lists 100,000 deep", deep, ValueError),
        ("a lone surrogate", f"{CANARY}\ud800", ValueError),
        ("a lone surrogate within", {"a": f"{CANARY}\udfff"}, ValueError),
        ("a lone surrogate for a key", {"\ud800": CANARY}, ValueError),
        ("a number of 5,000 digits", 10**5_000, ValueError),
        ("2 MiB", "x" * 2_097_152, MessageTooBig),
    ):
        yield Call(f"to send {name}", lambda stage, data=data: stage.signals.send(data, name="Msg"), error)
        yield Call(f"to send one {name}", lambda stage, data=data: stage.connection.send(data), error)
    for name, nothing in (("None", None), ("an empty text", ""), ("an empty list", []), ("an empty tuple", ())):
        yield Call(f"to send {name}", lambda stage, nothing=nothing: stage.signals.send(nothing, name="Msg"), None)
    yield Call("to send deeper than said", lambda stage: stage.signals.send([[1]], name="Msg", depth=1), DataTooDeep)


def _targets() -> Iterator[Call]:
    yield Call("to send to no name", lambda stage: stage.signals.send(1), NameRequired)
    yield Call("to send to an empty name", lambda stage: stage.signals.send(1, name=""), NameRequired)
    yield Call("to send to no names", lambda stage: stage.signals.send(1, name=[]), NameRequired)
    yield Call("to send to a name that nobody has", lambda stage: stage.signals.send(1, name="x"), None)
    yield Call("to send to a name of control characters", lambda stage: stage.signals.send(1, name="\0\r\n"), None)
    yield Call("to send to a group that nobody is in", lambda stage: stage.signals.send(1, name="Msg", group="x"), None)
    yield Call(
        "to send to an empty group among several", lambda stage: stage.signals.send(1, name="Msg", group=[""]), None
    )
    yield Call(
        "to send to an empty client id among several",
        lambda stage: stage.signals.send(1, name="Msg", client_id=[""]),
        None,
    )
    yield Call("to send to a forged id", lambda stage: stage.signals.send(1, name=EVERY_NAME, client_id="s:a.b"), None)
    yield Call(
        "to exclude everybody",
        lambda stage: stage.signals.send(1, name="Msg", exclude=stage.connection.client_id),
        None,
    )
    yield Call("to exclude an object", lambda stage: stage.signals.send(1, name="Msg", exclude=object()), TypeError)
    yield Call("to send to a number for a name", lambda stage: stage.signals.send(1, name=5), TypeError)
    yield Call("to send to an object", lambda stage: stage.signals.send(1, name=object()), TypeError)
    yield Call("to send in an unknown mode", lambda stage: stage.signals.send(1, name="Msg", mode="loud"), ValueError)
    yield Call(
        "to send directly to nobody", lambda stage: stage.signals.send(1, mode=SendMode.DIRECT), NoCurrentConnection
    )

    def refused(stage: Stage) -> None:
        stage.signals.set_broadcast_level(BroadcastLevel.GROUP, "Narrow")
        stage.signals.send(CANARY, name="Narrow")

    yield Call("to send too widely", refused, BroadcastRefused)
    for level in ("GROUP", None, 1):
        yield Call(
            f"the level {level!r}", lambda stage, level=level: stage.signals.set_broadcast_level(level), ValueError
        )
    for code in (0, 999, 1004.0, 1005, 1006, 1015, 5000, 65_536, -1, True, "1000", None):
        yield Call(f"to close with {code!r}", lambda stage, code=code: stage.signals.close("x", code=code), ValueError)
        yield Call(f"to close one with {code!r}", lambda stage, code=code: stage.connection.close(code), ValueError)
    yield Call("to close a name that nobody has", lambda stage: stage.signals.close("x"), None)
    yield Call(
        "to close with a reason of surrogates", lambda stage: stage.signals.close("x", reason="\ud800" * 200), None
    )


def _crons() -> Iterator[Call]:
    def add(expression: Any, **options: Any) -> Callable[[Stage], object]:
        return lambda stage: stage.signals.add_schedule("new", expression, print, **options)

    for expression, field in {
        "": "expression",
        "* * * *": "expression",
        "* * * * * *": "expression",
        "@never": "expression",
        "60 * * * *": "minute",
        "-1 * * * *": "minute",
        "1-0 * * * *": "minute",
        "*/0 * * * *": "minute",
        "*/-5 * * * *": "minute",
        "1,,2 * * * *": "minute",
        "1-2-3 * * * *": "minute",
        "\u0665 * * * *": "minute",
        "x * * * *": "minute",
        "1e1 * * * *": "minute",
        "9" * 5_000 + " * * * *": "minute",
        "* 24 * * *": "hour",
        "* * 0 * *": "day",
        "* * 32 * *": "day",
        "* * L * *": "day",
        "* * * 13 *": "month",
        "* * * Januar *": "month",
        "* * * * 8": "weekday",
        "* * * * Sun-Xyz": "weekday",
        "* * * * 5#2": "weekday",
        "* * * * *\0": "weekday",
    }.items():
        yield Call(f"the cron {expression[:20]!r}", add(expression), CronInvalid, f"bad cron {field}")
    yield Call("no cron at all", add([]), ValueError)
    yield Call("a start without a zone", add("* * * * *", start=datetime(2026, 1, 1)), ValueError, "aware")
    yield Call("a negative limit", add("* * * * *", limit=-1), ValueError)
    yield Call("an unknown zone", add("* * * * *", timezone="Europe/Atlantis"), ValueError)
    yield Call("a zone that is a path", add("* * * * *", timezone="../../etc/passwd"), ValueError)
    yield Call(
        "a schedule without a name", lambda stage: stage.signals.add_schedule("", "* * * * *", print), ValueError
    )
    yield Call("an unknown schedule", lambda stage: stage.signals.remove_schedule("x"), UnknownSchedule)
    for seconds in (0, -1, nan, inf, "5"):
        yield Call(
            f"a timer of {seconds!r} seconds",
            lambda stage, seconds=seconds: stage.signals.add_timer("new", seconds, print),
            ValueError,
        )
    yield Call("every so many without what", lambda stage: cron(interval=5), ValueError)
    yield Call("every fifth quarter", lambda stage: cron("quarter", interval=5), ValueError)
    yield Call("every fortnight", lambda stage: cron("fortnight"), ValueError)
    yield Call("minute 60", lambda stage: cron("hour", minute=60), ValueError)


def _endpoints() -> Iterator[Call]:
    for name, arguments in {
        "of ftp": {"protocol": "ftp"},
        "of no protocol": {"protocol": ""},
        "of a protocol in capitals": {"protocol": "WS"},
        "with the port -1": {"port": -1},
        "with the port 65536": {"port": 65_536},
        "with a port of text": {"port": "8080"},
        "with a port of half": {"port": 80.5},
        "with the port True": {"port": True},
        "with a name for an address": {"address": "example.com"},
        "with an empty address": {"address": ""},
        "with a bad address": {"address": "127.0.0.256"},
        "with a bad hostname": {"hostname": "a b"},
        "with an empty hostname": {"hostname": ""},
        "with a port in its hostname": {"hostname": "example.com:80"},
        "with an empty name": {"name": ""},
        "with a flag of text": {"auto_upgrade": "yes"},
        "with a certificate that it has no use for": {"self_signed": True},
        "with a key alone": {"certificate_key": "key.pem"},
        "with a string and a port": {"listen": "tcp:8080", "port": 8_080},
    }.items():
        given = {"protocol": "ws", **arguments}
        yield Call(f"an endpoint {name}", lambda stage, given=given: Endpoint(**given), ConfigurationInvalid)
    for text in (
        "",
        "ws",
        "ws://",
        "ws://localhost:x",
        "ws://localhost/path",
        "ws://u@localhost",
        "ws://localhost?x=y",
        "ws://[::1",
    ):
        yield Call(f"the endpoint {text!r}", lambda stage, text=text: Endpoint.parse(text), ConfigurationInvalid)

    def service(*endpoints: Endpoint) -> Callable[[Stage], object]:
        return lambda stage: SignalsService(stage.fresh, stage.fresh.resource(Resource()), endpoints)

    secure = Endpoint("wss", port=8_080, self_signed=True)
    yield Call("TLS and plain on one port", service(Endpoint("http", port=8_080), secure), ConfigurationInvalid, "TLS")
    yield Call("one endpoint twice", service(Endpoint("ws"), Endpoint("ws")), ConfigurationInvalid)
    yield Call(
        "addresses that overlap",
        service(Endpoint("http", "*", 8_080), Endpoint("ws", port=8_080)),
        ConfigurationInvalid,
    )


def _registrations() -> Iterator[Call]:
    for path in ("", "msg", "/<", "/<int:>", "/<nothing:x>", "/<a>/<a>"):
        yield Call(
            f"the signal route {path!r}", lambda stage, path=path: stage.signals.add_route(path, print), ValueError
        )
    yield Call("a signal route twice", lambda stage: stage.signals.add_route("/msg", print), RouteAlreadyExists)
    for value in ("replace", "", None):
        yield Call(
            f"a signal route if_exists={value!r}",
            lambda stage, value=value: stage.signals.add_route("/msg", print, if_exists=value),
            ValueError,
        )
    yield Call(
        "an event of no type", lambda stage: stage.signals.register_event("Msg", "connected", "x", print), ValueError
    )
    yield Call(
        "an event that is not there",
        lambda stage: stage.signals.unregister_event("Msg", EventType.CONNECT, "x"),
        EventNotRegistered,
    )
    yield Call("an unknown scope", lambda stage: setattr(stage.fresh, "default_scope", "world"), ValueError)
    yield Call(
        "an unknown way without a route", lambda stage: setattr(stage.fresh, "unrouted", Scope.LOCAL), ValueError
    )
    yield Call("an unknown setting", lambda stage: Signals(max_mesage_bytes=5), TypeError)  # type: ignore[call-arg]
    yield Call(
        "a setting of NaN", lambda stage: Signals(ping_interval_seconds=nan), ValueError, "ping_interval_seconds"
    )
    yield Call("a setting of text", lambda stage: Signals(max_names="5"), ValueError, "max_names")  # type: ignore[arg-type]


CASES = (
    *_names(),
    *_secrets(),
    *_data(),
    *_targets(),
    *_crons(),
    *_endpoints(),
    *_registrations(),
)
