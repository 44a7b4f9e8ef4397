"""An AsyncAPI 3.0 document of a hub: its signal routes, its servers and its messages. It changes nothing in the hub.

A client reads in the document where to connect, and which messages go each way. Programs make client types of the
document, and portals show it. The document has no client id, no secret and no path of a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from inspect import cleandoc, isclass, isroutine
from typing import Any, Final
from urllib.parse import quote, urlsplit

from attrs import frozen
from werkzeug.routing.rules import parse_converter_args

from .core.addresses import bracketed
from .core.endpoints import EVERY_ADDRESS, EVERY_HOST, Endpoint
from .core.routes import SignalRoute
from .core.upgrade import SIGNALS_PROTOCOL
from .signals import Signals
from .wire.frame_types import FRAME_TYPES, FrameType, frame_schemas, plain_message_schema

__all__ = ["document", "to_json"]


def document(
    signals: Signals,
    *,
    title: str,
    version: str,
    description: str | None = None,
    servers: Iterable[Endpoint] | Mapping[str, str] = (),
    names: str | Iterable[str] | None = None,
) -> dict[str, Any]:
    """Describe a hub as an AsyncAPI 3.0 document.

    Each signal route is a channel, whose address is the path of the route and whose description is the first paragraph
    of the docstring of its function. Operations are named from the side of the server: the server receives what clients
    send. The frames of ``pode.signals.v1`` are in the document where the setting ``signals_protocol`` is on.

    The order of everything follows from the paths and names, and not from the order of registration. No reactor has to
    run, and none is installed.

    Args:
        signals: the hub, with its routes.
        title: the title of the API.
        version: the version of the API: that of your program, not that of AsyncAPI.
        description: more about the API, as Markdown; None is nothing.
        servers: where clients connect. Either endpoints, such as ``service.endpoints``, of which those for ``ws`` and
            ``wss`` count. Or, for a service behind a proxy, URLs by name:
            ``{"production": "wss://chat.example.com"}``. A route that is tied to an endpoint is in the document where
            a server has the name of that endpoint. Without servers each route is in the document.
        names: the name or names of connections to list, with their broadcast levels. None is each name for which the
            program has set a level or registered a Connect or Disconnect function; ``signals.names()`` is each name
            that has connections now.

    Returns:
        The document, made of plain JSON values. Each call gives a new one.

    Raises:
        TypeError: a server is no ``Endpoint``.
        ValueError: a server's name has other characters than letters, digits, ``_``, ``-`` and ``.``; or its URL is
            no ``ws`` or ``wss`` URL, or has a user, a query or a fragment.
    """
    routes, known_servers = signals.routes(), list(_servers(servers))
    frames = FRAME_TYPES if signals.settings.signals_protocol else ()
    limit = f"At most {signals.settings.max_message_bytes} bytes."
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for route in sorted(routes, key=lambda each: (each.path, each.endpoint or "")):
        reached = _servers_of(route, routes, known_servers)
        if known_servers and not reached:
            continue
        key = _channel_key(route)
        channels[key] = _channel(route, frames, reached if len(reached) < len(known_servers) else [])
        operations |= dict(_operations(key, frames))
    described: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, **_given(description=description)},
        "defaultContentType": _JSON,
        "servers": {each.key: each.described for each in known_servers},
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": _schemas(frames),
            "messages": _messages(frames, limit),
            "channelBindings": {"webSocket": {"ws": _binding(frames)}},
        },
        "x-pode-signals": _names(signals, names),
    }
    if not known_servers:
        del described["servers"]
    return described


def to_json(described: Mapping[str, Any]) -> str:
    """A document as JSON text, indented, with a line feed at its end: the same text for the same document."""
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


_JSON: Final = "application/json"


# Servers.


@frozen
class _Server:
    """A server of the document.

    Attributes:
        key: its key.
        endpoint: the name of the endpoint; None where that endpoint has no name.
        described: the Server Object.
    """

    key: str
    endpoint: str | None
    described: dict[str, Any]


def _servers(servers: Iterable[Endpoint] | Mapping[str, str]) -> Iterator[_Server]:
    if isinstance(servers, Mapping):
        for name, url in servers.items():
            if not _KEY.fullmatch(name):
                raise ValueError(f"the server's name {name!r} has other characters than letters, digits, _, - and .")
            yield _Server(name, name, {**_server_at(url), "title": name})
        return
    told: list[dict[str, Any]] = []
    taken: dict[str, int] = {}
    for endpoint in servers:
        if not isinstance(endpoint, Endpoint):
            raise TypeError(f"servers are endpoints, or URLs by name, not {type(endpoint).__name__}")
        if not endpoint.takes_upgrades:
            continue
        described = _server_of(endpoint)
        # Parsers refuse a list with two servers that are the same, whatever their keys are.
        if described in told:
            continue
        told.append(described)
        key = _slug(f"{endpoint.name or ''} {endpoint.protocol} {'' if endpoint.name else described['host']}")
        taken[key] = number = taken.get(key, 0) + 1
        yield _Server(key if number == 1 else f"{key}-{number}", endpoint.name, described)


def _server_at(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("ws", "wss") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        is_good = False
    # A user, and what a query has, may be credentials, and the document is public. The URL itself is not repeated.
    if not is_good or "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("the URL of a server is ws:// or wss://, a host and a path, without user, query and fragment")
    return {"host": parts.netloc, **_given(pathname=parts.path.rstrip("/")), "protocol": parts.scheme}


def _server_of(endpoint: Endpoint) -> dict[str, Any]:
    host = None if endpoint.hostname == EVERY_HOST else endpoint.hostname
    if host is None and endpoint.listen is None and endpoint.address not in (EVERY_ADDRESS, "0.0.0.0", "::"):
        host = endpoint.address
    variables: dict[str, Any] = {}
    if host is None:
        variables["host"] = {"description": "The host of the server, as clients know it."}
    # Nothing of a Twisted endpoint string is told, which may have paths of files.
    if not endpoint.port:
        variables["port"] = {"description": "The port of the server."}
    return {
        "host": f"{'{host}' if host is None else bracketed(host)}:{endpoint.port or '{port}'}",
        "protocol": endpoint.protocol,
        **_given(title=endpoint.name, variables=variables),
    }


def _servers_of(route: SignalRoute, routes: Sequence[SignalRoute], servers: Iterable[_Server]) -> list[_Server]:
    """The servers whose connections reach a route."""
    if route.endpoint is not None:
        return [each for each in servers if each.endpoint == route.endpoint]
    # Where the same path has a route that is tied to an endpoint, connections of that endpoint get that route.
    others = {each.endpoint for each in routes if each.path == route.path} - {None}
    return [each for each in servers if each.endpoint not in others]


# Channels and operations.

# A parameter as werkzeug writes it: its converter, the arguments of the converter, its name.
_PARAMETER = re.compile(r"<(?:([a-zA-Z_][a-zA-Z0-9_]*)(?:\((.*?)\))?:)?([a-zA-Z_][a-zA-Z0-9_]*)>")
_WORD = re.compile(r"[a-zA-Z0-9]+(?:[_-][a-zA-Z0-9]+)*")
_KEY = re.compile(r"[a-zA-Z0-9_.-]+")
_ROOT_KEY = "root_"
_KINDS = {
    "float": "A number with a decimal point",
    "int": "An integer",
    "path": "Any text, with slashes too",
    "uuid": "A UUID",
}


def _channel(route: SignalRoute, frames: Sequence[FrameType], servers: Iterable[_Server]) -> dict[str, Any]:
    alone = None if route.endpoint is None else f"For connections of the endpoint {route.endpoint} alone."
    *parts, last = _PARAMETER.split(route.path)
    found = list(zip(parts[0::4], parts[1::4], parts[2::4], parts[3::4], strict=True))
    # Braces of the path itself are percent-encoded, so that the braces of the address are parameters.
    address = "".join(f"{_quoted(text)}{{{name}}}" for text, _, _, name in found) + _quoted(last)
    parameters = {name: _parameter(converter, arguments) for _, converter, arguments, name in found}
    return {
        "address": address,
        **_given(
            description="\n\n".join(filter(None, (_first_paragraph(route.function), alone))),
            servers=[_reference("servers", each.key) for each in servers],
            parameters=parameters,
        ),
        "messages": {name: _reference("components", "messages", name) for name in _message_names(frames)},
        "bindings": _reference("components", "channelBindings", "webSocket"),
    }


def _parameter(converter: str | None, arguments: str | None) -> dict[str, Any]:
    if converter == "any":
        return {"enum": [str(each) for each in parse_converter_args(arguments or "")[0]]}
    limits = f" ({arguments})" if arguments else ""
    return {"description": f"{_KINDS.get(converter or '', 'A text without a slash')}{limits}."}


def _operations(channel: str, frames: Sequence[FrameType]) -> Iterator[tuple[str, Any]]:
    def operation(action: str, protocol: str, names: Iterable[str], answers: Iterable[str] = ()) -> dict[str, Any]:
        described = {
            "action": action,
            "channel": _reference("channels", channel),
            "tags": [{"name": protocol}],
            "messages": [_reference("channels", channel, "messages", each) for each in names],
        }
        replies = [_reference("channels", channel, "messages", each) for each in answers]
        if replies:
            described["reply"] = {"channel": _reference("channels", channel), "messages": replies}
        return described

    yield f"{channel}.client.message", operation("receive", "plain", ["message"])
    yield f"{channel}.server.message", operation("send", "plain", ["text", "json"])
    for each in frames:
        if not each.is_answer:
            action = "send" if each.by == "server" else "receive"
            yield f"{channel}.{each.by}.{each.type}", operation(action, SIGNALS_PROTOCOL, [each.name], each.answers)


def _channel_key(route: SignalRoute) -> str:
    """The key of a channel: made of the path and the endpoint alone, so that no other route changes it.

    ``/rooms/<int:number>`` is ``rooms._int-number``, and on the endpoint ``admin`` ``rooms._int-number.-admin``. A path
    that can't be written so has a part of its hash at the end. No two routes have the same key.
    """
    words, is_exact = [], True
    for segment in route.path[1:].split("/"):
        parameter = _PARAMETER.fullmatch(segment)
        if parameter is not None and parameter[2] is None:
            words.append(f"_{parameter[1]}-{parameter[3]}" if parameter[1] else f"_{parameter[3]}")
        else:
            is_exact = is_exact and _WORD.fullmatch(segment) is not None
            words.append(_slug(_PARAMETER.sub(r"\3", segment)))
    if route.path == "/":
        words, is_exact = [_ROOT_KEY], True
    if route.endpoint is not None:
        is_exact = is_exact and _WORD.fullmatch(route.endpoint) is not None
        words.append(f"-{_slug(route.endpoint)}")
    if not is_exact:
        words.append(f"--{sha256(repr((route.path, route.endpoint)).encode()).hexdigest()[:8]}")
    return ".".join(filter(None, words))


def _first_paragraph(function: Callable[..., Any]) -> str:
    """The first paragraph of a docstring, in one line; ``""`` where there is none."""
    while isinstance(function, partial):
        function = function.func
    if isroutine(function) or isclass(function):
        text = function.__doc__
    else:
        # An object that can be called is described by its method, else by its class.
        text = type(function).__call__.__doc__ or type(function).__doc__
    return " ".join(cleandoc(text or "").split("\n\n")[0].split())


# Messages and schemas.


def _message_names(frames: Iterable[FrameType]) -> list[str]:
    return ["message", "text", "json", *(each.name for each in frames)]


def _messages(frames: Iterable[FrameType], limit: str) -> dict[str, Any]:
    return {
        "message": {
            "title": "A message of a plain client",
            "summary": f"A JSON object with the key message. {limit}",
            "payload": _reference("components", "schemas", "message"),
            "examples": [{"payload": {"message": "hello"}}],
        },
        "text": {
            "title": "A text for plain clients",
            "summary": "A text that the program has sent, as it is.",
            "contentType": "text/plain",
            "payload": {"type": "string"},
        },
        "json": {
            "title": "Data for plain clients",
            "summary": "Anything else that the program has sent, as JSON.",
            "payload": {"description": "Any JSON value."},
        },
        **{
            each.name: {
                "name": each.type,
                "title": f"{each.type} of the {each.by}",
                "summary": f"{each.summary} {limit}" if each.name == "send" else each.summary,
                "payload": _reference("components", "schemas", _schema_key(each.name)),
                **_given(correlationId=each.answer_field and {"location": f"$message.payload#/{each.answer_field}"}),
            }
            for each in frames
        },
    }


def _binding(frames: Iterable[FrameType]) -> dict[str, Any]:
    headers = {
        "type": "object",
        "properties": {
            "Sec-WebSocket-Protocol": {
                "type": "string",
                "description": f"{SIGNALS_PROTOCOL} to speak that protocol; left out by plain clients.",
                "examples": [SIGNALS_PROTOCOL],
            }
        },
    }
    return {"method": "GET", **_given(headers=headers if frames else None), "bindingVersion": "0.1.0"}


def _schemas(frames: Sequence[FrameType]) -> dict[str, Any]:
    schemas: dict[str, Any] = {"message": plain_message_schema()}
    if frames:
        schemas |= {
            _schema_key(name): schema
            for name, schema in frame_schemas(lambda name: _reference("components", "schemas", _schema_key(name)))
        }
    return schemas


def _schema_key(name: str) -> str:
    return f"v1{name[0].upper()}{name[1:]}"


def _names(signals: Signals, names: str | Iterable[str] | None) -> dict[str, Any]:
    levels = signals.insight.broadcast_levels()
    if names is None:
        names = {*(each for each in levels if each is not None), *(each.name for each in signals.events())}
    listed = {names} if isinstance(names, str) else set(names)
    return {
        "names": {each: {"broadcastLevel": signals.broadcast_level(each).value} for each in sorted(listed)},
        "otherNames": {"broadcastLevel": levels[None].value},
        "unrouted": signals.unrouted.value,
    }


def _reference(*keys: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *keys))}


def _given(**values: Any) -> dict[str, Any]:
    """The values that are not empty."""
    return {key: value for key, value in values.items() if value}


def _quoted(text: str) -> str:
    return quote(text, safe="/!$&'()*+,;=:@~")


def _slug(text: str) -> str:
    return re.sub("[^a-zA-Z0-9_-]+", "-", text).strip("-_")
