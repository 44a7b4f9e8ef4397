"""``pode_signals.asyncapi``: what is in the document, what is not, and that it is the same each time."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from asyncapi_hubs import hub_of_every_route, servers_of_every_kind
from fakes import connected, new_signals

from pode_signals import BroadcastLevel, Endpoint, Signals, asyncapi


def document(signals: Signals, **arguments: Any) -> dict[str, Any]:
    """A document with some title."""
    return asyncapi.document(signals, title="Chat", version="1.0.0", **arguments)


def of_paths(*paths: str, **settings: Any) -> dict[str, Any]:
    """The document of a hub with routes for these paths."""
    signals = new_signals(**settings)
    for path in paths:
        signals.add_route(path, lambda event: None)
    return document(signals)


def references(value: Any) -> Iterator[str]:
    """Every reference in a document; each stands alone, for what is beside it would be ignored."""
    if isinstance(value, dict):
        if "$ref" in value:
            assert list(value) == ["$ref"]
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(described: dict[str, Any], reference: str) -> Any:
    """What a reference leads to."""
    assert reference.startswith("#/")
    for key in reference.removeprefix("#/").split("/"):
        described = described[key]
    return described


def only(mapping: dict[str, Any]) -> Any:
    """The one value of a mapping."""
    (value,) = mapping.values()
    return value


# The whole.


def test_the_public_names() -> None:
    """S0.1: the module has two names."""
    assert asyncapi.__all__ == ["document", "to_json"]


def test_the_outline() -> None:
    """S18.1: a document says which AsyncAPI it is written in, and has the title, version and description as given."""
    described = document(new_signals(), description="A *chat*.")
    assert described["asyncapi"] == "3.0.0"
    assert described["info"] == {"title": "Chat", "version": "1.0.0", "description": "A *chat*."}
    assert described["defaultContentType"] == "application/json"
    assert "servers" not in described
    assert document(new_signals())["info"] == {"title": "Chat", "version": "1.0.0"}


def test_every_reference_resolves() -> None:
    """S18.1: each reference leads to something in the document."""
    described = document(hub_of_every_route(), servers=servers_of_every_kind())
    found = set(references(described))
    assert len(found) > 100
    for each in found:
        resolved(described, each)


def test_operations_name_messages_of_their_channel() -> None:
    """S18.1: the messages of an operation and of its reply are those of its channel, one step away."""
    described = document(hub_of_every_route())
    for name, operation in described["operations"].items():
        channel = operation["channel"]["$ref"]
        assert name.startswith(channel.removeprefix("#/channels/"))
        reply = operation.get("reply", {"messages": []})
        for each in (*operation["messages"], *reply["messages"]):
            assert each["$ref"].startswith(f"{channel}/messages/")


def test_plain_values() -> None:
    """S18.1: a document is made of the values that JSON has, so its text gives the same document again."""
    described = document(hub_of_every_route(), servers=servers_of_every_kind())
    text = asyncapi.to_json(described)
    assert json.loads(text) == described
    assert text.endswith("}\n")
    assert "世界" not in text
    assert asyncapi.to_json({"info": {"title": "世界"}}) == '{\n  "info": {\n    "title": "世界"\n  }\n}\n'


def test_the_same_each_time() -> None:
    """S18.1: the text is the same for the same routes, levels and names, in whatever order these were registered."""
    texts = set()
    for seed in range(5):
        shuffled, signals = random.Random(seed), new_signals()
        routes = list(hub_of_every_route().routes())
        names = ["Chat", "Rooms", "Alerts"]
        shuffled.shuffle(routes)
        shuffled.shuffle(names)
        for route in routes:
            signals.add_route(route.path, route.function, endpoint=route.endpoint)
        for name in names:
            signals.set_broadcast_level("group", name)
        texts.add(asyncapi.to_json(document(signals, servers=servers_of_every_kind())))
        texts.add(asyncapi.to_json(document(signals, servers=servers_of_every_kind())))
    assert len(texts) == 1


def test_a_document_of_ones_own() -> None:
    """S18.1: what a caller does with a document is in no other document."""
    signals = hub_of_every_route()
    before = asyncapi.to_json(document(signals))
    first = document(signals)
    first["components"]["schemas"]["v1Send"]["properties"].clear()
    first["components"]["messages"].clear()
    assert asyncapi.to_json(document(signals)) == before


def test_before_the_reactor_runs() -> None:
    """S18.1: a program that is not started has its document, and no reactor is installed for that."""
    program = """
import sys
from pode_signals import Endpoint, Signals, asyncapi
signals = Signals()
signals.add_route("/chat", lambda event: None)
described = asyncapi.document(signals, title="Chat", version="1", servers=[Endpoint("ws")])
print(*described["channels"], "twisted.internet.reactor" in sys.modules, "klein" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["chat", "False", "False"]), done.stderr


# Channels.


def test_a_channel() -> None:
    """S18.1: a signal route is a channel with its path, the first paragraph of its docstring, and its messages."""
    signals = new_signals(signals_protocol=False)

    @signals.route("/rooms/<room>")
    def said(event: Any) -> None:
        """What is said
        in a room.

        Not told.
        """

    described = document(signals)
    assert described["channels"] == {
        "rooms._room": {
            "address": "/rooms/{room}",
            "description": "What is said in a room.",
            "parameters": {"room": {"description": "A text without a slash."}},
            "messages": {
                "message": {"$ref": "#/components/messages/message"},
                "text": {"$ref": "#/components/messages/text"},
                "json": {"$ref": "#/components/messages/json"},
            },
            "bindings": {"$ref": "#/components/channelBindings/webSocket"},
        }
    }
    assert described["operations"] == {
        "rooms._room.client.message": {
            "action": "receive",
            "channel": {"$ref": "#/channels/rooms._room"},
            "tags": [{"name": "plain"}],
            "messages": [{"$ref": "#/channels/rooms._room/messages/message"}],
        },
        "rooms._room.server.message": {
            "action": "send",
            "channel": {"$ref": "#/channels/rooms._room"},
            "tags": [{"name": "plain"}],
            "messages": [
                {"$ref": "#/channels/rooms._room/messages/text"},
                {"$ref": "#/channels/rooms._room/messages/json"},
            ],
        },
    }
    assert described["components"]["channelBindings"] == {
        "webSocket": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}}
    }


@pytest.mark.parametrize(
    ("path", "key", "address", "parameters"),
    [
        ("/chat", "chat", "/chat", {}),
        ("/a/b_c/d-e", "a.b_c.d-e", "/a/b_c/d-e", {}),
        ("/", "root_", "/", {}),
        ("/<room>", "_room", "/{room}", {"room": {"description": "A text without a slash."}}),
        ("/<string:room>", "_string-room", "/{room}", {"room": {"description": "A text without a slash."}}),
        ("/n/<int:number>", "n._int-number", "/n/{number}", {"number": {"description": "An integer."}}),
        ("/f/<float:x>", "f._float-x", "/f/{x}", {"x": {"description": "A number with a decimal point."}}),
        ("/f/<path:rest>", "f._path-rest", "/f/{rest}", {"rest": {"description": "Any text, with slashes too."}}),
        ("/u/<uuid:id>/x", "u._uuid-id.x", "/u/{id}/x", {"id": {"description": "A UUID."}}),
        ("/chat/", "chat.--", "/chat/", {}),
        ("/<int(min=1):n>", "n.--", "/{n}", {"n": {"description": "An integer (min=1)."}}),
        ("/<any(red, 'dark blue'):c>", "c.--", "/{c}", {"c": {"enum": ["red", "dark blue"]}}),
        ("/x<a>.txt", "xa-txt.--", "/x{a}.txt", {"a": {"description": "A text without a slash."}}),
        ("/a{b}", "a-b.--", "/a%7Bb%7D", {}),
        ("/100%?#", "100.--", "/100%25%3F%23", {}),
        ("/grüße", "gr-e.--", "/gr%C3%BC%C3%9Fe", {}),
    ],
)
def test_paths(path: str, key: str, address: str, parameters: dict[str, Any]) -> None:
    """S18.1: the address of a channel is the path as a URL has it, with its parameters; the key tells the path."""
    (found,), channel = of_paths(path)["channels"], only(of_paths(path)["channels"])
    # A key that ends in a hash of its path is compared without that.
    assert found == key or (key.endswith("--") and re.fullmatch(re.escape(key) + "[0-9a-f]{8}", found))
    assert channel["address"] == address
    assert channel.get("parameters", {}) == parameters


def test_keys() -> None:
    """S18.1: each route has a key of its own, which other routes do not change, of characters that tools take."""
    signals = hub_of_every_route()
    described = document(signals)
    assert len(described["channels"]) == len(signals.routes())
    for key in (*described["channels"], *described["operations"]):
        assert re.fullmatch(r"[\w.-]+", key, re.ASCII)
    for route in signals.routes():
        alone = new_signals()
        alone.add_route(route.path, route.function, endpoint=route.endpoint)
        assert document(alone)["channels"].keys() <= described["channels"].keys()


def test_functions() -> None:
    """S18.1: functions, partials and objects describe their routes; what has no docstring has no description."""
    channels = document(hub_of_every_route())["channels"]
    assert channels["chat"]["description"] == channels["partial"]["description"] == "What is said in the chat."
    assert channels["object"]["description"] == "What is said, by an object."
    assert channels["method"]["description"] == "What is answered."
    assert "description" not in channels["lambda"]


# Servers.


def test_endpoints() -> None:
    """S18.1: servers are the endpoints that take WebSockets; what can't be known of them is a variable."""
    described = document(new_signals(), servers=servers_of_every_kind())
    host = {"host": {"description": "The host of the server, as clients know it."}}
    port = {"port": {"description": "The port of the server."}}
    assert described["servers"] == {
        "ws-localhost-8080": {"host": "localhost:8080", "protocol": "ws"},
        "ws-host-9080": {"host": "{host}:9080", "protocol": "ws", "variables": host},
        "ws-1-9081": {"host": "[::1]:9081", "protocol": "ws"},
        "the-public-one-wss": {"host": "chat.example.com:8443", "protocol": "wss", "title": "the public one"},
        "admin-wss": {"host": "192.0.2.7:{port}", "protocol": "wss", "title": "admin", "variables": port},
        "admin-ws": {"host": "{host}:{port}", "protocol": "ws", "title": "admin", "variables": {**host, **port}},
        "admin-ws-2": {"host": "localhost:9082", "protocol": "ws", "title": "admin"},
        "ws-host-port": {"host": "{host}:{port}", "protocol": "ws", "variables": {**host, **port}},
    }


def test_urls() -> None:
    """S18.1: servers are given by their URLs as well, as clients behind a proxy see them."""
    described = document(new_signals(), servers={"a": "wss://chat.example.com/app/", "b": "ws://[::1]:8091"})
    assert described["servers"] == {
        "a": {"host": "chat.example.com", "pathname": "/app", "protocol": "wss", "title": "a"},
        "b": {"host": "[::1]:8091", "protocol": "ws", "title": "b"},
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://chat.example.com",
        "chat.example.com",
        "wss://",
        "wss://ada:hush@chat.example.com",
        "wss://chat.example.com?key=hush",
        "wss://chat.example.com#hush",
        "wss://chat.example.com:hush",
        "wss://[hush",
    ],
)
def test_bad_urls(url: str) -> None:
    """S18.1: a URL of another kind, or one that could have credentials, is an error that does not repeat it."""
    with pytest.raises(ValueError, match="the URL of a server is ws:// or wss://") as raised:
        document(new_signals(), servers={"a": url})
    assert "hush" not in str(raised.value)


def test_bad_servers() -> None:
    """S20.1: a server's name that no reference can have, and a server of another type, are told in one sentence."""
    with pytest.raises(ValueError, match="the server's name 'a/b' has other characters than letters"):
        document(new_signals(), servers={"a/b": "wss://chat.example.com"})
    with pytest.raises(TypeError, match="servers are endpoints, or URLs by name, not str"):
        document(new_signals(), servers=["wss://chat.example.com"])


def test_routes_of_endpoints() -> None:
    """S18.1: a route is on the servers whose connections reach it, and not in the document where there is none."""
    signals = new_signals()
    signals.add_route("/chat", lambda event: None)
    signals.add_route("/chat", lambda event: None, endpoint="admin")
    signals.add_route("/news", lambda event: None)
    public, admin = Endpoint("ws", port=1), Endpoint("ws", port=2, name="admin")
    both = document(signals, servers=[public, admin])["channels"]
    assert {key: each.get("servers") for key, each in both.items()} == {
        "chat": [{"$ref": "#/servers/ws-localhost-1"}],
        "chat.-admin": [{"$ref": "#/servers/admin-ws"}],
        "news": None,
    }
    assert both["chat.-admin"]["description"] == "For connections of the endpoint admin alone."
    described = document(signals, servers=[public])
    assert list(described["channels"]) == ["chat", "news"]
    assert "admin" not in asyncapi.to_json(described)
    assert list(document(signals, servers=[admin])["channels"]) == ["chat.-admin", "news"]
    assert list(document(signals, servers={"admin": "wss://a.example"})["channels"]) == ["chat.-admin", "news"]
    assert list(document(signals, servers={"public": "wss://a.example"})["channels"]) == ["chat", "news"]
    assert list(document(signals)["channels"]) == ["chat", "chat.-admin", "news"]


# Messages.


def test_the_plain_protocol_alone() -> None:
    """S18.1: a hub that does not speak ``pode.signals.v1`` has nothing of it in its document."""
    text = asyncapi.to_json(of_paths("/chat", signals_protocol=False))
    assert not re.search(r"pode\.signals\.v1|v1[A-Z]|hello of", text)


def test_the_signals_protocol() -> None:
    """S18.1: each frame is a message with its schema, and an operation with its answers."""
    described = of_paths("/chat")
    operations = {
        name.removeprefix("chat."): (
            each["action"],
            each["tags"][0]["name"],
            [message["$ref"].rpartition("/")[2] for message in each["messages"]],
            [message["$ref"].rpartition("/")[2] for message in each.get("reply", {"messages": []})["messages"]],
        )
        for name, each in described["operations"].items()
    }
    v1 = "pode.signals.v1"
    assert operations == {
        "client.message": ("receive", "plain", ["message"], []),
        "server.message": ("send", "plain", ["text", "json"], []),
        "server.hello": ("send", v1, ["hello"], []),
        "server.signal": ("send", v1, ["signal"], ["ack"]),
        "server.error": ("send", v1, ["error"], []),
        "server.beat": ("send", v1, ["serverBeat"], []),
        "server.presence": ("send", v1, ["presence"], []),
        "client.send": ("receive", v1, ["send"], ["reply", "error"]),
        "client.beat": ("receive", v1, ["clientBeat"], ["serverBeat"]),
        "client.refresh": ("receive", v1, ["refresh"], ["reply", "error"]),
        "client.presence": ("receive", v1, ["watch"], ["presence", "error"]),
    }
    messages = described["components"]["messages"]
    assert messages["send"]["payload"] == {"$ref": "#/components/schemas/v1Send"}
    assert messages["send"]["correlationId"] == {"location": "$message.payload#/id"}
    headers = described["components"]["channelBindings"]["webSocket"]["ws"]["headers"]
    assert headers["properties"]["Sec-WebSocket-Protocol"]["examples"] == [v1]


def test_the_limit() -> None:
    """S18.1: how large a message of a client may be is told."""
    messages = of_paths("/chat", max_message_bytes=4_096)["components"]["messages"]
    assert messages["message"]["summary"].endswith(" At most 4096 bytes.")
    assert messages["send"]["summary"].endswith(" At most 4096 bytes.")


# Names.


def test_names() -> None:
    """S18.1: the names that the program has set a level or registered a function for are listed with their levels."""
    signals = new_signals(unrouted="drop")
    signals.set_broadcast_level(BroadcastLevel.CLIENT_ID, "Inbox")
    signals.register_event(["Rooms", "Inbox"], "connect", "came", lambda event: None)
    assert document(signals)["x-pode-signals"] == {
        "names": {"Inbox": {"broadcastLevel": "client_id"}, "Rooms": {"broadcastLevel": "name"}},
        "otherNames": {"broadcastLevel": "name"},
        "unrouted": "drop",
    }
    signals.set_broadcast_level("group")
    told = document(signals, names=["Rooms", "Chat", "Rooms"])["x-pode-signals"]
    assert told["names"] == {"Chat": {"broadcastLevel": "group"}, "Rooms": {"broadcastLevel": "group"}}
    assert told["otherNames"] == {"broadcastLevel": "group"}
    many = [f"Name {number}" for number in range(100, 200)]
    assert list(document(signals, names=reversed(many))["x-pode-signals"]["names"]) == many
    assert list(document(signals, names="Chat")["x-pode-signals"]["names"]) == ["Chat"]


def test_who_is_connected() -> None:
    """S18.1: connections change nothing in the document; their names are listed where they are asked for."""
    signals = hub_of_every_route()
    before = asyncapi.to_json(document(signals))
    connected(signals, "Msg", client_id="ada-lovelace", group="kitchen")
    assert asyncapi.to_json(document(signals)) == before
    text = asyncapi.to_json(document(signals, names=signals.names()))
    assert '"Msg"' in text
    assert "ada-lovelace" not in text
    assert "kitchen" not in text


def test_no_secret() -> None:
    """S18.1: no secret, no password and no path of a file is in the document."""
    signals = hub_of_every_route()
    signals.enable_signing("a secret of thirty-two characters")
    text = asyncapi.to_json(document(signals, servers=servers_of_every_kind()))
    assert not re.search(f"secret|hush|{re.escape(signals.default_secret)}", text)
    assert "tests" not in text
