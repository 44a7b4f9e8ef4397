"""The attributes that Autobahn gives to each protocol, kept once for all of them. It opens no connection.

Autobahn's constructor and its handshake give a protocol some 60 attributes, nearly all of them with the same value for
each. They are not listed here. They are taken from two protocols that Autobahn has opened, so that the attributes of
another version are found as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

__all__ = ["LEFT_OUT", "ONE_FOR_ALL", "WhenUsed", "light_attributes", "light_class", "settled"]

_PLAIN = (bool, int, str, bytes, type(None))
_ABSENT = object()

# Each protocol gets values of its own for these when it is opened.
_ITS_OWN = frozenset({"connected", "connection", "deliver", "factory", "response_headers", "state", "transport"})

LEFT_OUT = frozenset(
    {
        # Attributes of the handshake, which nothing reads afterwards.
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
        # Attributes for observers of a protocol, of which there are none.
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


# Protocols can't share the values of these, and most never use their own.
_MADE_WHEN_USED = frozenset({"is_closed", "is_open", "utf8validator"})

# Nothing reads these, so all protocols can share one value. The queue of writes is a tuple, so that nothing could be
# written to it by mistake.
_SHARED: Mapping[str, Callable[[Any], Any]] = {
    "_transport_details": lambda value: type(value)(),
    "peer": lambda _value: "",
    "send_queue": lambda _value: (),
    "trafficStats": lambda value: type(value)(),
}
ONE_FOR_ALL = frozenset(_SHARED)
"""The attributes whose one value all light protocols share, since nothing reads them."""


def light_attributes(one: Any, other: Any) -> dict[str, Any] | None:
    """The attributes that can stand on a class, in place of those that each protocol has.

    Args:
        one, other: protocols that Autobahn has opened, for handshakes that differ.

    Returns:
        The attributes for a class; None where a protocol has one of which it is not known that all have the same.
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
    """A class that has the attributes and the factory's options, so that its protocols begin without any of their own.

    Autobahn would copy each option to each protocol, and would format all of them for a log line.
    """
    options = {name: _kept(getattr(factory, name)) for name in protocol_class.CONFIG_ATTRS}
    more = {"CONFIG_ATTRS": [], "is_light": True}
    return type(protocol_class.__name__, (protocol_class,), {**attributes, **options, **more})


def settled(protocol: Any) -> dict[str, Any]:
    """The attributes that a light protocol has to keep after Autobahn has opened it.

    They are those that differ from the attributes of its class, without those of the handshake.
    """
    of_class = type(protocol)
    left_out = LEFT_OUT | _MADE_WHEN_USED | ONE_FOR_ALL
    return {
        name: value
        for name, value in vars(protocol).items()
        if name not in left_out and getattr(of_class, name, _ABSENT) is not value
    }


def _kept(value: Any) -> Any:
    # A plain function on a class would become a method.
    return staticmethod(value) if isinstance(value, FunctionType) else value
