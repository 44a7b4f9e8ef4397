"""What Autobahn gives to each protocol, kept once for all of them. It opens nothing, and decides nothing.

Autobahn's constructor and its handshake give a protocol some 60 attributes, nearly all of them the same for each. They
are not listed here: they are taken from two protocols that Autobahn has made, so another version's are found as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

__all__ = ["LEFT_OUT", "ONE_FOR_ALL", "WhenUsed", "light_attributes", "light_class", "settled"]

_PLAIN = (bool, int, str, bytes, type(None))
_ABSENT = object()

# Each protocol has its own, and gets it when it is opened.
_ITS_OWN = frozenset({"connected", "connection", "deliver", "factory", "response_headers", "state", "transport"})

LEFT_OUT = frozenset(
    {
        # Of the handshake, which nothing reads when it is over.
        "_wskey",
        "http_headers",
        "http_request_data",
        "http_request_host",
        "http_request_params",
        "http_request_path",
        "http_request_uri",
        "http_response_data",
        "http_status_line",
        "websocket_extensions",
        "websocket_extensions_in_use",
        "websocket_origin",
        "websocket_protocol_in_use",
        "websocket_protocols",
        # For those who observe a protocol, which nobody does.
        "_results",
        "_valid_events",
    }
)
"""What a light protocol does not have at all."""


class WhenUsed:
    """An attribute of each instance that is made when it is first asked for.

    Args:
        make: makes its value.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self.make()
        return value


# A value of these cannot be shared, and most protocols never use theirs.
_MADE_WHEN_USED = frozenset({"is_closed", "is_open", "utf8validator"})

# Of these nobody reads anything, so one value is enough; the queue of writes could not even be written to by mistake.
_SHARED: Mapping[str, Callable[[Any], Any]] = {
    "_transport_details": lambda value: type(value)(),
    "peer": lambda _value: "",
    "send_queue": lambda _value: (),
    "trafficStats": lambda value: type(value)(),
}
ONE_FOR_ALL = frozenset(_SHARED)
"""What all light protocols have together, since nobody reads anything of that."""


def light_attributes(one: Any, other: Any) -> dict[str, Any] | None:
    """The attributes that can stand on a class, in place of those that each protocol has.

    Args:
        one, other: protocols that Autobahn has opened, for handshakes that differ.

    Returns:
        What to put on a class; None where a protocol has something that is not known to be the same for each.
    """
    found: dict[str, Any] = {}
    first, second = vars(one), vars(other)
    options = set(type(one).CONFIG_ATTRS)
    if first.keys() != second.keys():
        return None
    for name in first.keys() - options - _ITS_OWN - LEFT_OUT:
        value = first[name]
        if name in _MADE_WHEN_USED:
            found[name] = WhenUsed(type(value))
        elif name in _SHARED:
            found[name] = _SHARED[name](value)
        elif isinstance(value, _PLAIN) and value == second[name]:
            found[name] = value
        else:
            return None
    return found


def light_class(protocol_class: type[Any], attributes: Mapping[str, Any], factory: Any) -> type[Any]:
    """A class whose protocols begin with nothing of their own: attributes and the factory's options stand on it.

    Autobahn copies each option to each protocol, and formats all of them for a log line, where it is left to.
    """
    options = {name: _kept(getattr(factory, name)) for name in protocol_class.CONFIG_ATTRS}
    more = {"CONFIG_ATTRS": [], "is_light": True}
    return type(protocol_class.__name__, (protocol_class,), {**attributes, **options, **more})


def settled(protocol: Any) -> dict[str, Any]:
    """What a light protocol that Autobahn has opened has to keep: what differs from its class, and no handshake."""
    of_class = type(protocol)
    left_out = LEFT_OUT | _MADE_WHEN_USED | ONE_FOR_ALL
    return {
        name: value
        for name, value in vars(protocol).items()
        if name not in left_out and getattr(of_class, name, _ABSENT) is not value
    }


def _kept(value: Any) -> Any:
    # A function on a class would be a method of it.
    return staticmethod(value) if isinstance(value, FunctionType) else value
