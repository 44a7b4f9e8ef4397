from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.nearest import nearest, unknown
from pode_signals.core.settings import SETTING_NAMES


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("max_msg_bytes", "max_message_bytes"),
        ("max_mesage_bytes", "max_message_bytes"),
        ("max_message_size", "max_message_bytes"),
        ("maxMessageBytes", "max_message_bytes"),
        ("max-message-bytes", "max_message_bytes"),
        ("MAX_MESSAGE_BYTES", "max_message_bytes"),
        ("max_message_bytes", "max_message_bytes"),
        ("max_conns", "max_connections"),
        ("max_connections_per_ip", "max_connections_per_address"),
        ("ping_interval", "ping_interval_seconds"),
        ("handler_timeout", "handler_timeout_seconds"),
        ("allow_origins", "allowed_origins"),
        ("allowed_origin", "allowed_origins"),
        ("trusted_proxy", "trusted_proxies"),
        ("compress", "compression"),
        ("unroute", "unrouted"),
        ("scope_default", None),
    ],
)
def test_what_was_meant(wrong: str, meant: str | None) -> None:
    """S20.1: a slip, an abbreviation, a left out unit and another way to join words find the setting."""
    assert nearest(wrong, SETTING_NAMES) == meant


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "x", "Q", "_", "5", "max", "seconds", "bytes", "id", "ip", "key", "name", "host", "port", "path", "app"),
        *("client", "address", "message", "listen", "timeout", "debug", "reactor", "endpoints", "certificate", "log"),
        *("workers", "secret", "users", "\N{SNOWMAN}", "max_" * 40, "z" * 1_000),
    ],
)
def test_what_nobody_meant(wrong: str) -> None:
    """S20.1: a name that resembles no setting brings no suggestion, rather than a silly one."""
    assert nearest(wrong, SETTING_NAMES) is None


@pytest.mark.parametrize(
    ("wrong", "known", "meant"),
    [
        ("prot", ["port", "protocol"], "port"),
        ("adress", ["port", "address"], "address"),
        ("pots", ["port"], "port"),
        ("past", ["port"], None),
        ("anything", [], None),
    ],
)
def test_short_names(wrong: str, known: list[str], meant: str | None) -> None:
    """S20.1: of a short name one letter may be wrong, or out of place."""
    assert nearest(wrong, known) == meant


@given(st.text(max_size=40))
def test_any_name(wrong: str) -> None:
    """S20.1: whatever the name is, the suggestion is a name that exists, or none is made."""
    assert nearest(wrong, SETTING_NAMES) in {None, *SETTING_NAMES}


def test_the_sentence() -> None:
    """S20.1: the sentence names what does not exist, and the nearest name where there is one."""
    assert unknown("setting", "max_nams", SETTING_NAMES) == "there is no setting max_nams; did you mean max_names?"
    assert unknown("setting", "port", SETTING_NAMES) == "there is no setting port"
