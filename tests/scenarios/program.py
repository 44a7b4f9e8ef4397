"""The program that the scenarios talk to, and the commands that a scenario gives it. It opens no port.

Routes: ``/room`` converts to the name Room, with ``?group=``, ``?id=``, ``?user=`` and ``?expires=`` (seconds);
``/greeting`` sends "welcome" right after that; ``/silent`` has no signal route. A message to ``/room`` may be
``{"join": …}``, ``{"leave": …}``, ``{"say": …}``, ``{"book": …}``, ``{"fail": …}`` or ``{"sleep": seconds}``; any other
is the reply.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from klein import Klein
from scenarios.matching import Bindings, Mismatch
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from pode_signals import Delivery, SignalConnection, SignalEvent, Signals
from pode_signals.errors import ReplyRefused
from pode_signals.signals import hub_of

__all__ = ["Program"]

# Some time of this century: the wall clock of a hub is the clock that it was given.
_START = 1_700_000_000.0


class Program:
    """The server of one scenario, until its restart.

    Args:
        settings: settings of the hub.

    Attributes:
        clock: the clock of the hub.
        signals: the hub.
        root: the routes.
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.rightNow = _START
        self.signals = Signals(
            allow_sse=True, clock=self.clock, **{"unrouted": "drop", "ping_interval_seconds": 1_000, **settings}
        )
        self.signals.refresh_check = self._refreshed
        self.signals.add_route("/room", self._said)
        self._deliveries: dict[str, Delivery] = {}
        self._good_tokens: dict[str, float] = {}
        self._log = hub_of(self.signals).backplane.history
        self._follow = self._log.follow
        self._followed: dict[str, tuple[Any, ...]] = {}
        self._log.follow = self._following  # type: ignore[method-assign]
        self.root = self._routes().resource()

    def run(self, verb: str, arguments: list[Any], named: dict[str, Any], bindings: Bindings) -> None:
        """Do what a line of a scenario says.

        Args:
            verb: what is to be done; the methods below, without ``_do_``.
            arguments: words and values.
            named: those with a name.
            bindings: the variables, for commands that give one a value.
        """
        getattr(self, f"_do_{verb}")(arguments, named, bindings)

    # Routes.

    def _routes(self) -> Klein:
        app = Klein()

        @app.route("/room")
        def room(request: Any) -> None:
            self._convert(request)

        @app.route("/silent")
        def silent(request: Any) -> None:
            self._convert(request)

        @app.route("/greeting")
        def greeting(request: Any) -> None:
            self._convert(request).send("welcome")

        return app

    def _convert(self, request: Any) -> SignalConnection:
        given = {key.decode(): values[0].decode() for key, values in request.args.items()}
        expires = given.get("expires")
        return self.signals.convert(
            request,
            "Room",
            group=given.get("group"),
            client_id=given.get("id"),
            user=given.get("user"),
            expires=None if expires is None else self._in(float(expires)),
        )

    async def _said(self, event: SignalEvent) -> Any:
        match event.data.message:
            case {"join": group}:
                event.connection.join(group)
                return list(event.connection.groups)
            case {"leave": group}:
                event.connection.leave(group)
                return list(event.connection.groups)
            case {"say": text}:
                self.signals.send(text, name="Room")
                return "said"
            case {"book": "4A" as seat}:
                return {"booked": seat}
            case {"book": _}:
                raise ReplyRefused("seat_taken", "This seat is taken.")
            case {"fail": secret}:
                raise RuntimeError(secret)
            case {"sleep": seconds}:
                await deferLater(self.clock, seconds)  # type: ignore[arg-type]
                return "slept"
            case message:
                return message

    def _refreshed(self, _connection: SignalConnection, token: str) -> datetime | None:
        return self._in(self._good_tokens[token]) if token in self._good_tokens else None

    def _in(self, seconds: float) -> datetime:
        return hub_of(self.signals).wall_time() + timedelta(seconds=seconds)

    # Commands.

    def _do_keep_history(self, names: list[str], limits: dict[str, Any], _: Bindings) -> None:
        self.signals.keep_history(names[0], **limits)

    def _do_forget_history(self, names: list[str], _named: dict[str, Any], _: Bindings) -> None:
        self.signals.forget_history(names[0])

    def _do_share_presence(self, names: list[str], named: dict[str, Any], _: Bindings) -> None:
        self.signals.share_presence(names[0], **named)

    def _do_position(self, arguments: list[Any], _named: dict[str, Any], bindings: Bindings) -> None:
        """``position Room as $p``: the position that a page gets."""
        self.signals.position(arguments[0]).addCallback(lambda found: bindings.bind(arguments[2], found))

    def _do_send(self, arguments: list[Any], named: dict[str, Any], _: Bindings) -> None:
        """``send DATA name=… group=… clientId=…``; ``acknowledge timeout=5 as soup`` keeps its delivery as soup."""
        to = {{"clientId": "client_id"}.get(key, key): value for key, value in named.items()}
        delivery = self.signals.send(arguments[0], acknowledge="acknowledge" in arguments[1:], **to)
        if "as" in arguments[1:]:
            self._deliveries[arguments[-1]] = delivery

    def _do_delivery(self, arguments: list[Any], named: dict[str, Any], _: Bindings) -> None:
        """``delivery soup acknowledged=[…] …``: what became of it; ``settled=false`` where it waits for somebody."""
        delivery = self._deliveries[arguments[0]]
        for key in ("acknowledged", "unanswered", "gone"):
            if sorted(getattr(delivery, key)) != sorted(named.get(key, [])):
                raise Mismatch(f"{key} are {getattr(delivery, key)!r}")
        is_settled = Deferred.fromCoroutine(_waited(delivery)).called
        if is_settled is not named.get("settled", True):
            raise Mismatch(f"that the delivery is settled is {is_settled}")

    def _do_close(self, _arguments: list[Any], named: dict[str, Any], _: Bindings) -> None:
        self.signals.close(named["name"], client_id=named.get("clientId"), code=named.get("code", 1000))

    def _do_takes(self, tokens: list[str], named: dict[str, Any], _: Bindings) -> None:
        """``takes "token" expires=100``: these credentials are good, and no others."""
        self._good_tokens = dict.fromkeys(tokens, named.get("expires", 0.0))

    def _do_connected(self, client_ids: list[Any], _named: dict[str, Any], _: Bindings) -> None:
        """``connected $one $other``: these clients are, and no others."""
        found = [each.client_id for each in self.signals.connections("Room")]
        if sorted(found) != sorted(client_ids):
            raise Mismatch(f"connected are {found!r}")

    def _do_leave(self, arguments: list[Any], _named: dict[str, Any], _: Bindings) -> None:
        """``leave $id kitchen``: the application takes a client out of a group."""
        connection = self.signals.connection("Room", arguments[0])
        assert connection is not None
        connection.leave(arguments[1])

    def _do_differ(self, values: list[Any], _named: dict[str, Any], _: Bindings) -> None:
        """``differ $e $f``: the two values are not the same."""
        if values[0] == values[1]:
            raise Mismatch(f"both are {values[0]!r}")

    def _do_counted(self, _arguments: list[Any], named: dict[str, Any], _: Bindings) -> None:
        """``counted messages_bad=1``: what the counters say."""
        for name, number in named.items():
            if getattr(self.signals.counters, name) != number:
                raise Mismatch(f"{name} is {getattr(self.signals.counters, name)!r}")

    def _do_break(self, names: list[str], _named: dict[str, Any], _: Bindings) -> None:
        """``break Room``: the log of a name is another one, as where a store has lost its data."""
        limits, deliver, broken = self._followed[names[0]]
        self._log.forget(names[0])
        self._follow(names[0], limits, deliver, broken).addCallback(broken)

    def _following(self, name: str, *arguments: Any) -> Any:
        self._followed[name] = arguments
        return self._follow(name, *arguments)


async def _waited(delivery: Delivery) -> Delivery:
    return await delivery
