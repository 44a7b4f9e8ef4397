from __future__ import annotations

import re

import pytest

from pode_signals.command.keys import FILE_KEYS, FLAGS, PATHS, SERVICE_KEYS, checked_settings, checked_value
from pode_signals.core.model import Scope
from pode_signals.errors import ConfigurationInvalid


def test_each_key_is_described() -> None:
    """S12.1: each key of the service is described in sentences, and says what a value has to be."""
    for name, key in SERVICE_KEYS.items():
        assert re.fullmatch(r"[A-Z].*\.", key.text), name
        assert key.wanted
    assert len(set(FILE_KEYS)) == len(FILE_KEYS)


def test_kinds_of_keys() -> None:
    """S12.1: files are what the certificate and the secrets are read from; one key is an option without a value."""
    assert PATHS == ("certificate", "certificate_key", "certificate_password_file", "secret_file")
    assert FLAGS == ("reuse_port", "self_signed")


def test_values() -> None:
    """S12.1: a value that its key takes is given back, another one is refused in a sentence that names the key."""
    assert checked_value("drain_seconds", 0) == 0
    with pytest.raises(ConfigurationInvalid, match=r"^drain_seconds has to be a number of seconds, not '5'$"):
        checked_value("drain_seconds", "5")


def test_settings() -> None:
    """S20.5: settings are taken as a hub takes them, and are then what the hub keeps."""
    values = {"app": "a:b", "default_scope": "local", "trusted_proxies": ["::1"]}
    assert checked_settings(values) == {"default_scope": Scope.LOCAL, "trusted_proxies": ("::1",)}
    with pytest.raises(ConfigurationInvalid, match=r"^max_names has to be "):
        checked_settings({"max_names": 0})
