from __future__ import annotations

from enum import Enum
from math import inf, nan
from typing import Any, Literal, get_type_hints

import pytest
from attrs import fields
from fakes import new_signals
from twisted.internet.task import Clock

from pode_signals import Scope, Signals, Unrouted
from pode_signals.core.model import DuplicateClientId
from pode_signals.core.outbox import SlowClient
from pode_signals.core.settings import SETTING_NAMES, Settings, SettingsArguments

COUNT = [0, -1, 1.5, nan, inf, "5", None, True, [5]]
COUNT_OR_NONE = [value for value in COUNT if value is not None]
ABOVE_0 = [0, -1, -0.5, nan, inf, -inf, "5", None, True, [5]]
FLAG = [0, 1, "yes", None, nan]

# Every setting: its default, what makes no sense for it, what does.
SETTINGS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "max_message_bytes": (65_536, COUNT, [1, 10**9]),
    "max_outgoing_bytes": (1_048_576, COUNT, [1, 10**9]),
    "max_pending_messages": (64, COUNT, [1]),
    "inbox_bytes": (262_144, COUNT, [1]),
    "total_inbox_bytes": (67_108_864, COUNT, [1]),
    "max_json_depth": (32, COUNT, [1]),
    "max_json_keys": (1_000, COUNT, [1]),
    "bad_messages_limit": (10, COUNT, [1]),
    "bad_messages_window_seconds": (60.0, ABOVE_0, [1, 0.5]),
    "handler_timeout_seconds": (30.0, ABOVE_0, [1, 0.5]),
    "close_timeout_seconds": (5.0, ABOVE_0, [1, 0.5]),
    "handshake_timeout_seconds": (10.0, ABOVE_0, [1, 0.5]),
    "max_connections": (None, COUNT_OR_NONE, [1, None]),
    "max_connections_per_address": (None, COUNT_OR_NONE, [1, None]),
    "max_names": (10_000, COUNT, [1]),
    "max_groups": (100, COUNT, [1]),
    "pending_handshakes": (1_000, COUNT, [1]),
    "handshake_head_bytes": (16_384, [*COUNT, 1_023], [1_024]),
    "max_request_body_bytes": (1_048_576, [each for each in COUNT if each != 0], [0, 1, 10**12]),
    "max_form_bytes": (262_144, [each for each in COUNT if each != 0], [0, 1, 10**12]),
    "request_timeout_seconds": (60.0, ABOVE_0, [1, 0.5]),
    "response_timeout_seconds": (60.0, ABOVE_0, [1, 0.5]),
    "ping_interval_seconds": (25.0, ABOVE_0, [1, 0.5]),
    "pong_timeout_seconds": (10.0, ABOVE_0, [1, 0.5]),
    "messages_per_second": (100.0, ABOVE_0, [1, 0.5]),
    "message_burst": (200, COUNT, [1]),
    "control_frames_per_second": (10.0, ABOVE_0, [1, 0.5]),
    "control_frame_burst": (20, COUNT, [1]),
    "max_fragments": (1_024, COUNT, [1]),
    "message_timeout_seconds": (10.0, ABOVE_0, [1, 0.5]),
    "send_queue_bytes": (1_048_576, COUNT, [1]),
    "total_queue_bytes": (268_435_456, COUNT, [1]),
    "slow_client": (
        "close",
        ["drop", "", None, True, 1],
        ["close", "drop_oldest", "drop_newest", "latest"],
    ),
    "signals_protocol": (True, FLAG, [True, False]),
    "allow_sse": (False, FLAG, [True, False]),
    "resume_token_seconds": (3_600.0, ABOVE_0, [1, 0.5]),
    "total_history_bytes": (67_108_864, COUNT, [1]),
    "max_pending_acknowledgements": (100_000, COUNT, [1]),
    "expiry_grace_seconds": (25.0, ABOVE_0, [1, 0.5]),
    "presence_grace_seconds": (15.0, ABOVE_0, [1, 0.5]),
    "listen_backlog": (1_024, COUNT, [1]),
    "allowed_origins": (None, ["https://example.com", [""], [5], 5, True], [["https://example.com"], ["*"], (), None]),
    "allow_null_origin": (False, FLAG, [True, False]),
    "allow_missing_origin": (None, ["yes", 1, 0, ""], [True, False, None]),
    "trusted_proxies": (
        (),
        ["10.0.0.0/8", ["nonsense"], ["10.0.0.1/8"], ["10.0.0.0/33"], None, 5],
        [["10.0.0.0/8", "::1"], {"10.0.0.1"}],
    ),
    "compression": (False, FLAG, [True, False]),
    "fast": (True, FLAG, [True, False]),
    "duplicate_client_id": ("replace", ["reject", "", None, True, 1], ["replace", "refuse"]),
    "unrouted": (Unrouted.BROADCAST, ["nonsense", None, True, 1, Scope.GLOBAL], list(Unrouted)),
    "default_scope": (Scope.GLOBAL, ["nonsense", None, True, 1, Unrouted.DROP], list(Scope)),
}


def test_the_table_is_complete() -> None:
    """S16: every setting is in this table, and can be given by its name."""
    assert sorted(SETTINGS) == sorted(SETTING_NAMES) == sorted(get_type_hints(SettingsArguments))


def test_defaults() -> None:
    """S16: every default."""
    settings = Settings()
    assert {name: getattr(settings, name) for name in SETTING_NAMES} == {
        name: default for name, (default, _, _) in SETTINGS.items()
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}={value!r}")
        for name, (_, nonsense, _) in SETTINGS.items()
        for value in nonsense
    ],
)
def test_nonsense(name: str, value: Any) -> None:
    """S16: a value that makes no sense is a ValueError at construction that names the setting."""
    with pytest.raises(ValueError, match=rf"^{name} has to be "):
        Signals(clock=Clock(), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, (_, _, sense) in SETTINGS.items() for value in sense],
)
def test_sense(name: str, value: Any) -> None:
    """S16: a value that makes sense is taken."""
    settings = new_signals(**{name: value}).settings
    taken = getattr(settings, name)
    assert taken == (tuple(value) if isinstance(value, (list, set)) else value)


def test_types_for_type_checkers() -> None:
    """S20.5: type checkers know what a setting takes: its type, any sequence for a tuple, an enumeration's texts."""
    taken, kept = get_type_hints(SettingsArguments), get_type_hints(Settings)
    for each in fields(Settings):
        kind = kept[each.name]
        if isinstance(each.default, Enum):
            texts = tuple(member.value for member in type(each.default))
            assert taken[each.name] == kind | Literal[texts], each.name  # type: ignore[valid-type]
        elif each.name in ("allowed_origins", "trusted_proxies"):
            assert str(taken[each.name]).replace("collections.abc.Sequence[str]", "tuple[str, ...]") == str(kind)
        else:
            assert taken[each.name] == kind, each.name


@pytest.mark.parametrize("each", [*Scope, *Unrouted, *SlowClient, *DuplicateClientId])
def test_enumerations(each: Enum) -> None:
    """S20.5: a setting that is a choice is taken as the member or as its text, and kept as the member."""
    (name,) = (setting.name for setting in fields(Settings) if isinstance(setting.default, type(each)))
    assert getattr(new_signals(**{name: each}).settings, name) is each
    assert getattr(new_signals(**{name: each.value}).settings, name) is each


@pytest.mark.parametrize("make", [Settings, new_signals])
def test_unknown(make: Any) -> None:
    """S20.1: a setting that does not exist is a TypeError that names it, and the nearest one that does."""
    with pytest.raises(TypeError, match=r"^there is no setting max_msg_bytes; did you mean max_message_bytes\?$"):
        make(max_msg_bytes=3)
    with pytest.raises(TypeError, match=r"^there is no setting workers$"):
        make(workers=3)


def test_keywords_only() -> None:
    """S16.7: settings are given by their names alone."""
    with pytest.raises(TypeError):
        Signals(5)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Settings(5)  # type: ignore[misc]


def test_settings_do_not_change() -> None:
    """S16: settings are checked once, and stay."""
    settings = new_signals().settings
    with pytest.raises(AttributeError):
        settings.max_names = 0  # type: ignore[misc]
