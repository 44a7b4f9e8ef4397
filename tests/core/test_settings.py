"""The checks of the settings, one setting for each check; all of them, by name, are in ``tests/test_settings.py``."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from pode_signals.core.model import Scope, Unrouted
from pode_signals.core.outbox import SlowClient
from pode_signals.core.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("max_names", 0, "a whole number of 1 or more, not 0"),
        ("max_names", 1.0, "a whole number of 1 or more, not 1.0"),
        ("max_names", True, "a whole number of 1 or more, not True"),
        ("max_names", None, "a whole number of 1 or more, not None"),
        ("handshake_head_bytes", 1_023, "a whole number of 1024 or more, not 1023"),
        ("max_connections", 0, "a whole number of 1 or more or None, not 0"),
        ("ping_interval_seconds", 0, "a number above 0, not 0"),
        ("ping_interval_seconds", nan, "a number above 0, not nan"),
        ("ping_interval_seconds", inf, "a number above 0, not inf"),
        ("ping_interval_seconds", True, "a number above 0, not True"),
        ("ping_interval_seconds", "25", "a number above 0, not '25'"),
        ("compression", 1, "True or False, not 1"),
        ("slow_client", "drop", "one of close, drop_oldest, drop_newest, latest, not 'drop'"),
        ("default_scope", "LOCAL", "one of global, local, not 'LOCAL'"),
        ("allowed_origins", "*", "None or a list of origins such as https://example.com, without a path, not '*'"),
        ("allowed_origins", ["example.com"], "None or a list of origins"),
        ("allowed_origins", ["https://example.com", 5], "None or a list of origins"),
        ("trusted_proxies", "10.0.0.1", "a list of addresses or networks such as 10.0.0.0/8 (without host bits), or "),
        ("trusted_proxies", ["10.0.0.1/8"], "a list of addresses or networks"),
        ("trusted_proxies", ["unix:/run/x"], "a list of addresses or networks"),
        ("trusted_proxies", "unix", "a list of addresses or networks"),
        ("trusted_proxies", [5], "a list of addresses or networks"),
        ("allow_missing_origin", "no", "True, False or None"),
    ],
)
def test_a_bad_value_is_refused(name: str, value: Any, wanted: str) -> None:
    """S16.7: a value that makes no sense is refused at construction, and the error says what would."""
    with pytest.raises(ValueError, match=rf"^{name} has to be ") as caught:
        Settings(**{name: value})
    assert wanted in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("max_names", 1, 1),
        ("handshake_head_bytes", 1_024, 1_024),
        ("max_connections", None, None),
        ("max_connections", 1, 1),
        ("ping_interval_seconds", 1, 1),
        ("ping_interval_seconds", 0.001, 0.001),
        ("compression", True, True),
        ("slow_client", "latest", SlowClient.LATEST),
        ("unrouted", "same_name", Unrouted.SAME_NAME),
        ("default_scope", Scope.LOCAL, Scope.LOCAL),
        ("unrouted", Unrouted.DROP, Unrouted.DROP),
        ("allowed_origins", None, None),
        ("allowed_origins", [], ()),
        ("allowed_origins", {"*"}, ("*",)),
        ("trusted_proxies", ["10.0.0.0/8", "::1", "unix"], ("10.0.0.0/8", "::1", "unix")),
        ("allow_missing_origin", None, None),
    ],
)
def test_a_good_value_is_taken(name: str, value: Any, taken: Any) -> None:
    """S16.7: a value that makes sense is taken, a collection as a tuple that nobody changes later."""
    assert getattr(Settings(**{name: value}), name) == taken
