from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from attrs import fields

from pode_signals.command.config import Configuration
from pode_signals.command.config_file import read_file
from pode_signals.core.endpoints import Endpoint
from pode_signals.core.model import Scope, Unrouted
from pode_signals.core.settings import Settings
from pode_signals.errors import ConfigurationInvalid


def configured(text: str, tmp_path: Path) -> Configuration:
    """The configuration that a file says."""
    path = tmp_path / "signals.toml"
    path.write_text(dedent(text))
    return Configuration.of(read_file(path))


def test_configuration_file(tmp_path: Path) -> None:
    """S12.1: a configuration file has every setting and what the service needs; files in it are relative to it."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "secret.txt").write_text("from a file, and long enough for a secret")
    configuration = configured(
        """
        app = "chat:service"
        drain_seconds = 5
        log_format = "json"
        secret_file = "etc/secret.txt"
        certificate = "etc/server.pem"
        max_message_bytes = 1000
        allowed_origins = ["https://a.example"]
        unrouted = "drop"
        default_scope = "local"
        endpoints = ["http://localhost:8091", {protocol = "wss", port = 8092, certificate = "own.pfx", name = "chat"}]
        """,
        tmp_path,
    )
    assert configuration == Configuration(
        app="chat:service",
        drain_seconds=5,
        log_format="json",
        secrets=("from a file, and long enough for a secret",),
        certificate=str(tmp_path / "etc/server.pem"),
        settings={
            "max_message_bytes": 1000,
            "allowed_origins": ("https://a.example",),
            "unrouted": Unrouted.DROP,
            "default_scope": Scope.LOCAL,
        },
        endpoints=(
            Endpoint("http", port=8091),
            Endpoint("wss", port=8092, certificate=str(tmp_path / "own.pfx"), name="chat"),
        ),
    )


def test_every_setting_has_a_key(tmp_path: Path) -> None:
    """S16.7: every setting can be written in a configuration file, with its default."""
    lines = []
    for attribute in fields(Settings):
        value = getattr(attribute.default, "value", attribute.default)
        if value is not None:
            lines.append(f"{attribute.name} = {json.dumps(value)}")
    configuration = configured("\n".join(lines), tmp_path)
    assert Settings(**configuration.settings) == Settings()
    assert len(configuration.settings) == len(lines)


TOP = "keys stand at the top, and endpoints below [[endpoints]]"
MISTAKES = {
    # Keys that do not exist.
    "max_mesage_bytes = 5": "there is no key max_mesage_bytes; did you mean max_message_bytes?",
    "max-message-bytes = 5": "there is no key max-message-bytes; did you mean max_message_bytes?",
    "endpoint = 'http://localhost:80'": "there is no key endpoint; did you mean endpoints?",
    "endpoint = []": "there is no key endpoint; did you mean endpoints?",
    "Q = 1": "there is no key Q",
    # Keys in another place than their own.
    "port = 80": "port belongs below [[endpoints]], not at the top",
    "certificate_password = 'secret'": "certificate_password belongs below [[endpoints]], not at the top",
    "[[endpoints]]\nprotocol = 'http'\nmax_names = 5": (
        "endpoint 1: max_names belongs at the top, above the first [[endpoints]]"
    ),
    # Sections that do not exist.
    "[server]\nmax_names = 5": f"there is no section [server]; {TOP}",
    "[settings]\nmax_names = 5": f"there is no section [settings]; {TOP}",
    "settings.max_names = 5": f"there is no section [settings]; {TOP}",
    "[[servers]]\nport = 5": f"there is no section [[servers]]; {TOP}",
    "[port]\nhttp = 80": f"there is no section [port]; {TOP}",
    "[endpoint]\nprotocol = 'http'": "there is no section [endpoint]; did you mean [[endpoints]]?",
    "[[endpoint]]\nprotocol = 'http'": "there is no section [[endpoint]]; did you mean [[endpoints]]?",
    # Sections in place of values, and values in place of sections.
    "[max_names]\nvalue = 5": "max_names is a key with a value, not a section [max_names]",
    "[[app]]\nname = 'chat:service'": "app is a key with a value, not a section [[app]]",
    "[endpoints]\nprotocol = 'http'": "endpoints has to be a list: write [[endpoints]] above each endpoint",
    "endpoints = 'http://localhost:80'": "endpoints has to be a list, not 'http://localhost:80'",
    "endpoints = [5]": "endpoint 1 has to be a text or a table, not 5",
    # Endpoints.
    "endpoints = [{port = 80}]": "endpoint 1 has no protocol",
    "endpoints = ['http://localhost:80', {protocol = 'http', prot = 80}]": (
        "endpoint 2: there is no key prot; did you mean port?"
    ),
    "endpoints = [{protocol = 'http', colour = 'red'}]": "endpoint 1: there is no key colour",
    # Values that make no sense.
    "max_names = 0": "max_names has to be a whole number of 1 or more, not 0",
    "max_names = '5'": "max_names has to be a whole number of 1 or more, not '5'",
    "max_names = [5]": "max_names has to be a whole number of 1 or more, not [5]",
    "app = 5": "app has to be a text, not 5",
    "certificate = true": "certificate has to be a text, not True",
    "self_signed = 'yes'": "self_signed has to be true or false, not 'yes'",
    "drain_seconds = -1": "drain_seconds has to be a number of seconds, not -1",
    "drain_seconds = nan": "drain_seconds has to be a number of seconds, not nan",
    "drain_seconds = true": "drain_seconds has to be a number of seconds, not True",
    "log_format = 'xml'": "log_format has to be one of text, json, not 'xml'",
    "unrouted = 5": "unrouted has to be one of broadcast, same_name, drop, not 5",
    "default_scope = 'LOCAL'": "default_scope has to be one of global, local, not 'LOCAL'",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    """S20.1: a mistake in a configuration file is a sentence with the file, the key, and the nearest one."""
    path = tmp_path / "signals.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationInvalid) as caught:
        read_file(path)
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("endpoints = ['http://localhost:80/x']", "http://localhost:80/x"),
        ("endpoints = [{protocol = 'http', port = '80'}]", "http localhost:80"),
        ("this is no TOML", "line 1"),
        ("max_names = 1\nmax_names = 2", "overwrite"),
    ],
)
def test_mistakes_that_others_tell(tmp_path: Path, text: str, said: str) -> None:
    """S12.1: a bad endpoint, and a text that is no TOML, are told with the file and the place."""
    path = tmp_path / "signals.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationInvalid) as caught:
        read_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [None, b"\xff"])
def test_a_file_that_is_no_text(tmp_path: Path, data: Any) -> None:
    """S12.1: a configuration file that is not there, or is no text, is named in one sentence."""
    path = tmp_path / "signals.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigurationInvalid, match=r"signals\.toml: "):
        read_file(path)
