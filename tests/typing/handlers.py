"""Functions of users and what they get, for the type checker: nothing runs here. Each mistake is marked."""

from __future__ import annotations

from pode_signals import DisconnectEvent, SignalEvent, Signals, TriggeredEvent

signals = Signals()


@signals.on_disconnect("Msg")
def gone(event: DisconnectEvent) -> None:
    print(event.connection.closure.code, event.connection.closure.reason)


@signals.on_disconnect("Msg")
def gone_as_any_event(event: TriggeredEvent) -> None:
    print(event.connection.closure.code)  # type: ignore[union-attr]


@signals.route("/msg")
def said(event: SignalEvent) -> None:
    names: tuple[str, ...] = event.connection.hub.names()
    event.connection.hub.send(names, name="Msg", mode="broadcast")


@signals.route("/msg/other")  # type: ignore[type-var]
def takes_another_event(event: TriggeredEvent) -> None:
    """A route gets no TriggeredEvent."""


@signals.on_connect("Msg")  # type: ignore[type-var]
def takes_a_message(event: SignalEvent) -> None:
    """A Connect function gets no message."""


def no_arguments() -> None:
    """A route takes an event."""


signals.add_route("/none", no_arguments)  # type: ignore[arg-type]
