"""``pode_signals.asyncapi``: AsyncAPI's own parser, ``@asyncapi/parser`` of npm, reads the documents."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from asyncapi_hubs import hub_of_every_route, servers_of_every_kind
from npm_packages import node_modules

from pode_signals import Signals, asyncapi

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def parser() -> Path:
    """The ``node_modules`` with the parser, 54 MB."""
    return node_modules(HERE, "asyncapi")


def parse(node: str, parser: Path, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    """How the parser understands documents; a complaint other than of a newer AsyncAPI fails the test."""
    done = subprocess.run(
        [node, HERE / "parse.js"],
        env={**os.environ, "NODE_PATH": str(parser)},
        input=json.dumps([asyncapi.to_json(each) for each in documents]),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    understood = []
    for printed in json.loads(done.stdout):
        assert [each for each in printed["diagnostics"] if each["code"] != "asyncapi-latest-version"] == []
        understood.append(printed["understood"])
    return understood


def test_every_route_and_server(node: str, parser: Path) -> None:
    """S18.1: the parser has no complaint of a document with routes and servers of every kind, and finds all of them."""
    document = asyncapi.document(
        hub_of_every_route(), title="Every", version="1.2.3", description="*All*", servers=servers_of_every_kind()
    )
    (understood,) = parse(node, parser, document)
    assert understood["channels"] == {key: each["address"] for key, each in document["channels"].items()}
    assert understood["servers"] == [f"{each['protocol']}://{each['host']}/" for each in document["servers"].values()]
    assert [name for name, *_ in understood["operations"]] == list(document["operations"])
    assert understood["schemas"] == list(document["components"]["schemas"])
    operations = {name: rest for name, *rest in understood["operations"]}
    assert operations["chat.client.message"] == ["receive", ["message"], []]
    assert operations["chat.server.message"] == ["send", ["text", "json"], []]
    assert operations["chat.client.send"] == ["receive", ["send"], ["reply", "error"]]
    assert operations["chat.server.signal"] == ["send", ["signal"], ["ack"]]


@pytest.mark.parametrize("signals_protocol", [True, False])
def test_small_documents(node: str, parser: Path, signals_protocol: bool) -> None:
    """S18.1: the parser has no complaint of a hub without routes and servers, nor of one for plain clients alone."""
    signals = Signals(signals_protocol=signals_protocol)
    none = asyncapi.document(signals, title="None", version="1")
    signals.add_route("/chat", lambda event: None)
    servers = {"production": "wss://chat.example.com/app"}
    one = asyncapi.document(signals, title="One", version="1", servers=servers)
    nothing, understood = parse(node, parser, none, one)
    assert nothing["channels"] == {}
    assert understood["channels"] == {"chat": "/chat"}
    assert understood["servers"] == ["wss://chat.example.com/app"]
