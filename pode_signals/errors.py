"""The errors of pode_signals, in one tree. They carry data and build their sentence; never a secret or a payload.

::

    PodeSignalsError
    ├── UpgradeRefused            an HTTP answer: a werkzeug HTTPException that Klein renders by itself
    │   ├── OriginRefused         403
    │   ├── ClientIdInUse         409
    │   ├── TooManyConnections    503, or 429 for one address
    │   ├── NameRefused           400, the NameInvalid of a conversion
    │   └── ClientIdRefused       400, the ClientIdInvalid of a conversion or of a request's headers
    ├── NameInvalid, ClientIdInvalid   also ValueErrors; outside of both the mistake of the application
    ├── AlreadyConverted, ResponseStarted, ClientGone   the request can't be converted any more
    ├── MessageInvalid            what a client sent is no message
    │   ├── MessageTooBig         also for what the server sends
    │   └── DataTooDeep           ``send(…, depth=…)``; also a ValueError
    ├── BroadcastRefused          the broadcast level of a name
    ├── NameRequired, NoCurrentConnection
    ├── UnknownName
    ├── EventAlreadyRegistered, EventNotRegistered
    ├── RouteAlreadyExists
    ├── ScheduleAlreadyExists, UnknownSchedule
    ├── CronInvalid               also a ValueError
    ├── ConfigurationInvalid      options, endpoints, certificates; also a ValueError
    ├── SigningInUse
    ├── ReplyRefused              raised by signal routes, for the client that asks
    ├── ReplyError                for clients: a request that got no reply
    ├── TooManyAcknowledgements
    ├── UnknownHistory
    ├── BackplaneUnavailable      the nodes can't share something now
    │   └── HistoryUnavailable    a message that is to be logged
    └── NotInReactorThread
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal

from werkzeug.exceptions import HTTPException

__all__ = [
    "AlreadyConverted",
    "BackplaneUnavailable",
    "BroadcastRefused",
    "ClientGone",
    "ClientIdInUse",
    "ClientIdInvalid",
    "ClientIdRefused",
    "ConfigurationInvalid",
    "CronInvalid",
    "DataTooDeep",
    "EventAlreadyRegistered",
    "EventNotRegistered",
    "HistoryUnavailable",
    "MessageInvalid",
    "MessageTooBig",
    "NameInvalid",
    "NameRefused",
    "NameRequired",
    "NoCurrentConnection",
    "NotInReactorThread",
    "OriginRefused",
    "PodeSignalsError",
    "ReplyError",
    "ReplyRefused",
    "ResponseStarted",
    "RouteAlreadyExists",
    "ScheduleAlreadyExists",
    "SigningInUse",
    "TooManyAcknowledgements",
    "TooManyConnections",
    "UnknownHistory",
    "UnknownName",
    "UnknownSchedule",
    "UpgradeRefused",
]

MAX_REFUSAL_CHARACTERS = 1_024
_SURROGATE = re.compile("[\ud800-\udfff]")
_REFUSAL_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")


class PodeSignalsError(Exception):
    """The root of every error that this package raises on purpose."""


class UpgradeRefused(PodeSignalsError, HTTPException):
    """A request that does not become a connection, with the HTTP answer that says why.

    Klein renders it by itself and ``signals.resource(…)`` does so for plain resources;
    elsewhere ``return refused.render(request)``.

    Attributes:
        code: the HTTP status.
        description: one sentence of plain text for the client.
        headers: the headers that belong to the status, for instance ``("Allow", "GET")``.
        hint: what the line in the log has besides, for the operator: which header had which value, and which setting
            decides. It never reaches a client.
    """

    code: int

    def __init__(self, code: int, description: str, headers: Iterable[tuple[str, str]] = (), *, hint: str = "") -> None:
        # By its name: super() would be the other error that some refusals are as well.
        HTTPException.__init__(self, description)
        self.code = code
        self.headers = tuple(headers)
        self.hint = hint

    @property
    def kind_of_refusal(self) -> str:
        """The name of the error that says why; ``counters.upgrades_refused`` counts the refusal under this name."""
        return type(self).__name__

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """The body: the description, as plain text."""
        return f"{self.description}\n"

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """The headers of the answer."""
        return [("Content-Type", "text/plain; charset=utf-8"), *self.headers]

    def render(self, request: Any) -> bytes:
        """Set status and headers on a ``twisted.web`` request.

        Returns:
            The body, to be returned from a resource's ``render``.
        """
        request.setResponseCode(self.code)
        for name, value in self.get_headers():
            request.setHeader(name.encode("ascii"), value.encode("ascii"))
        return self.get_body().encode("utf-8")


class OriginRefused(UpgradeRefused):
    """The Origin header names a page that may not connect here (403)."""

    def __init__(self, *, hint: str = "") -> None:
        super().__init__(403, "This origin may not connect.", hint=hint)


class ClientIdInUse(UpgradeRefused):
    """The client id has an open connection, and ``duplicate_client_id="refuse"`` is set (409)."""

    def __init__(self) -> None:
        super().__init__(409, "This client id is in use.")


class TooManyConnections(UpgradeRefused):
    """A limit on connections or names is reached: 503, or 429 for one address; both with Retry-After.

    Attributes:
        limit: the setting.
    """

    def __init__(self, code: int, limit: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(code, "Too many connections; try again later.", [("Retry-After", str(retry_after_seconds))])
        self.limit = limit


class NameInvalid(PodeSignalsError, ValueError):
    """A name, group or client id that is empty, over 128 characters, or has control characters.

    Attributes:
        kind: ``name``, ``group`` or ``client id``.
        why: what is wrong, without the text itself.
    """

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"the {kind} {why}")
        self.kind = kind
        self.why = why


class NameRefused(UpgradeRefused, NameInvalid):
    """The name, group or client id of a conversion can't be one (400). It says which.

    ``convert`` alone raises it, since a route often takes them from the request. Anywhere else a bad name is the
    application's own mistake: :class:`NameInvalid`, which is no HTTP answer.
    """

    def __init__(self, invalid: NameInvalid) -> None:
        UpgradeRefused.__init__(self, 400, f"The {invalid.kind} {invalid.why}.")
        self.kind = invalid.kind
        self.why = invalid.why

    @property
    def kind_of_refusal(self) -> str:
        """``NameInvalid``."""
        return NameInvalid.__name__


class ClientIdInvalid(PodeSignalsError, ValueError):
    """A client id whose signature does not hold, or that looks signed where signing is off. It never says which."""

    def __init__(self) -> None:
        super().__init__("the client id is not valid")


class ClientIdRefused(UpgradeRefused, ClientIdInvalid):
    """The client id of a conversion, or one that a request's headers refer to, does not hold (400).

    ``convert``, ``connection_of`` and ``signals.resource(…)`` raise it. An id that the application itself passes to
    another call is its own mistake: :class:`ClientIdInvalid`, which is no HTTP answer.
    """

    def __init__(self) -> None:
        UpgradeRefused.__init__(self, 400, "The client id is not valid.")

    @property
    def kind_of_refusal(self) -> str:
        """``ClientIdInvalid``."""
        return ClientIdInvalid.__name__


class AlreadyConverted(PodeSignalsError, RuntimeError):
    """``convert`` was called before on this request."""

    def __init__(self) -> None:
        super().__init__("this request is a signal connection already")


class ResponseStarted(PodeSignalsError, RuntimeError):
    """The route has begun to answer, so the request can't become a connection."""

    def __init__(self) -> None:
        super().__init__("the response has started, convert() comes first")


class ClientGone(PodeSignalsError, RuntimeError):
    """The client went away before its request was converted."""

    def __init__(self) -> None:
        super().__init__("the client went away before its request was converted")


class MessageInvalid(PodeSignalsError):
    """What a client sent is no message (see ``docs``: messages from clients).

    Attributes:
        reason: a fixed sentence; it holds nothing of what the client sent.
        limit: the setting that stood in the way, or None.
    """

    def __init__(self, reason: str, limit: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.limit = limit


class MessageTooBig(MessageInvalid, ValueError):
    """A message that is larger than the limit.

    Attributes:
        size_bytes: the size of the message.
        limit_bytes: the limit.
    """

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"the message has {size_bytes} bytes, the limit is {limit_bytes}")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class DataTooDeep(MessageInvalid, ValueError):
    """``send(…, depth=…)`` got data that is nested deeper."""

    def __init__(self, depth: int) -> None:
        super().__init__(f"the data is nested deeper than {depth}")
        self.depth = depth


class BroadcastRefused(PodeSignalsError):
    """The broadcast level of a name asks for a group or a client id that the send did not give.

    Attributes:
        name: the name whose level refused.
        level: its :class:`~pode_signals.BroadcastLevel`.
    """

    def __init__(self, name: str, level: Enum) -> None:
        super().__init__(f"the broadcast level of {name!r} is {level.name}: the send has to be narrower")
        self.name = name
        self.level = level


class NameRequired(PodeSignalsError, ValueError):
    """A send outside a signal event gave no name."""

    def __init__(self) -> None:
        super().__init__("outside a signal event a name is required; EVERY_NAME is every name")


class NoCurrentConnection(PodeSignalsError, RuntimeError):
    """``SendMode.DIRECT`` outside a signal event and outside a route that converted its request."""

    def __init__(self) -> None:
        super().__init__("there is no current connection to send to directly")


class UnknownName(PodeSignalsError, LookupError):
    """No open connection has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no connection has the name {name!r}")
        self.name = name


class EventAlreadyRegistered(PodeSignalsError, ValueError):
    """The same name, type and event name were registered before."""

    def __init__(self, name: str, type_name: str, event_name: str) -> None:
        super().__init__(f"the {type_name} event {event_name!r} of {name!r} is registered already")
        self.name = name
        self.type_name = type_name
        self.event_name = event_name


class EventNotRegistered(PodeSignalsError, LookupError):
    """There is no such registration to remove."""

    def __init__(self, name: str, type_name: str, event_name: str) -> None:
        super().__init__(f"there is no {type_name} event {event_name!r} of {name!r}")
        self.name = name
        self.type_name = type_name
        self.event_name = event_name


class RouteAlreadyExists(PodeSignalsError, ValueError):
    """A signal route for this path exists, and ``if_exists`` is ``"error"``."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is a signal route for {path!r} already")
        self.path = path


class ScheduleAlreadyExists(PodeSignalsError, ValueError):
    """A schedule or timer of this name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a schedule or timer {name!r} already")
        self.name = name


class UnknownSchedule(PodeSignalsError, LookupError):
    """No schedule or timer has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no schedule or timer {name!r}")
        self.name = name


class CronInvalid(PodeSignalsError, ValueError):
    """A cron expression that can't be read.

    Attributes:
        field: ``minute``, ``hour``, ``day``, ``month`` or ``weekday``; ``expression`` for the whole.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"bad cron {field}: {why}")
        self.field = field


class ConfigurationInvalid(PodeSignalsError, ValueError):
    """Endpoints, certificates or options that can't work; the sentence names which."""


class SigningInUse(PodeSignalsError, RuntimeError):
    """Signing can't change while connections are open: their ids would no longer hold."""

    def __init__(self) -> None:
        super().__init__("signing can be enabled or disabled only while no connection is open")


class UnknownHistory(PodeSignalsError, LookupError):
    """No history of a name is kept, or it has no such position any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no history of {name!r} from there on")
        self.name = name


class TooManyAcknowledgements(PodeSignalsError, RuntimeError):
    """An acknowledged send has too many recipients, beside those that have not answered others; nothing was sent.

    Attributes:
        most: how many recipients may be asked at a time: ``max_pending_acknowledgements``.
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"acknowledged sends may ask {most} recipients at a time (max_pending_acknowledgements)")
        self.most = most


class ReplyRefused(PodeSignalsError):
    """Raised by a signal route that refuses what a client asks for. The client gets an error with code and text.

    ::

        raise ReplyRefused("seat_taken", "This seat is taken.")

    It is no failure: nothing is logged. A client of the plain protocol, and one that asked for no reply, hears nothing.

    Args:
        code: a word for programs, ``[a-z][a-z0-9_]{0,59}``. The client gets ``app.`` before it.
        text: a sentence for people, of at most 1,024 characters.

    Raises:
        ValueError: the code or the text has another form.
    """

    def __init__(self, code: str, text: str) -> None:
        if not isinstance(code, str) or not _REFUSAL_CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no code for ReplyRefused: [a-z][a-z0-9_]{{0,59}}")
        if not isinstance(text, str) or len(text) > MAX_REFUSAL_CHARACTERS:
            raise ValueError(f"the text of ReplyRefused has to be a str of at most {MAX_REFUSAL_CHARACTERS} characters")
        if _SURROGATE.search(text):
            raise ValueError("the text of ReplyRefused has a lone surrogate, which can't be sent")
        super().__init__(text)
        self.code = code
        self.text = text


class ReplyError(PodeSignalsError):
    """A client got an error for what it asked, or no answer at all.

    Attributes:
        code: the server's code: ``app.<code>`` where a signal route raised :class:`ReplyRefused`, else ``bad_frame``,
            ``unknown_type``, ``no_route``, ``refused``, ``failed``, ``timed_out`` or ``not_available``. Or one of the
            client's own: ``lost``, the connection ended, and nobody knows whether the server took what was written;
            ``timeout``, the answer did not come in time; ``closed``, the client is closed.
        text: a sentence for people.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class BackplaneUnavailable(PodeSignalsError):
    """What nodes share can't be read or written now.

    Attributes:
        why: what stands in the way, in a few words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"the backplane can't do this: {why}")
        self.why = why


class HistoryUnavailable(BackplaneUnavailable):
    """A message could not be logged.

    Attributes:
        outcome: ``"refused"`` where the message is not in the log and nobody gets it; ``"unknown"`` where it may be.
    """

    def __init__(self, why: str, outcome: Literal["refused", "unknown"]) -> None:
        super().__init__(why)
        self.outcome = outcome


class NotInReactorThread(PodeSignalsError, RuntimeError):
    """A call from a thread other than the reactor's.

    Attributes:
        call: the method that was called.
    """

    def __init__(self, call: str) -> None:
        instead = _INSTEAD_OF_THREADS.get(call, f"use reactor.callFromThread(signals.{call}, …)")
        super().__init__(f"{call} runs in the reactor's thread only: {instead}")
        self.call = call


# What is done with a request belongs to its route, which runs in the reactor's thread and would not wait for a call
# that another thread leaves to the reactor.
_INSTEAD_OF_THREADS = {
    "convert": "call it in the route itself, and defer only the work that takes long to a thread (deferToThread)",
    "join": "use reactor.callFromThread(connection.join, …)",
    "leave": "use reactor.callFromThread(connection.leave, …)",
}
