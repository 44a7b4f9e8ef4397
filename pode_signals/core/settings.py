"""The settings of a hub: every limit and default, checked once at construction. Nothing here acts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

from attrs import Attribute, field, fields, frozen

from .addresses import TrustedProxies
from .model import Scope, Unrouted
from .origin import is_origin_entry

__all__ = ["Settings", "SettingsArguments"]

Check = Callable[[Any, "Attribute[Any]", Any], None]


def _refuse(attribute: Attribute[Any], wanted: str, value: object) -> ValueError:
    return ValueError(f"{attribute.name} has to be {wanted}, not {value!r}")


def _count(least: int, *, none: bool = False) -> Check:
    def check(_settings: Any, attribute: Attribute[Any], value: object) -> None:
        if none and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise _refuse(attribute, f"a whole number of {least} or more" + (" or None" if none else ""), value)

    return check


def _above_0(_settings: Any, attribute: Attribute[Any], value: object) -> None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise _refuse(attribute, "a number above 0", value)


def _flag(_settings: Any, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise _refuse(attribute, "True or False", value)


def _flag_or_none(settings: Any, attribute: Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise _refuse(attribute, "True, False or None", value)


def _one_of(*values: object) -> Check:
    def check(_settings: Any, attribute: Attribute[Any], value: object) -> None:
        if value not in values:
            raise _refuse(attribute, "one of " + ", ".join(map(str, values)), value)

    return check


def _origins(_settings: Any, attribute: Attribute[Any], value: object) -> None:
    good = isinstance(value, tuple) and all(isinstance(item, str) and is_origin_entry(item) for item in value)
    if value is not None and not good:
        raise _refuse(attribute, "None or a list of origins such as https://example.com, without a path", value)


def _networks(_settings: Any, attribute: Attribute[Any], value: object) -> None:
    try:
        if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
            raise TypeError
        TrustedProxies(value)
    except (TypeError, ValueError):
        wanted = "a list of addresses or networks such as 10.0.0.0/8 (without host bits), or unix for UNIX sockets"
        raise _refuse(attribute, wanted, value) from None


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, set, frozenset, tuple)) else value


@frozen(kw_only=True)
class Settings:
    """Every setting of a hub with its default; they are the keyword arguments of :class:`~pode_signals.Signals`.

    Attributes:
        max_message_bytes: the largest message of a client, decompressed; larger closes with 1009.
        max_outgoing_bytes: the largest message that ``send`` takes; larger raises ``MessageTooBig``.
        max_pending_messages: how many messages of one connection wait undecoded for its functions; at that many
            its socket is read no further until a quarter is left.
        inbox_bytes: how many bytes of messages of one connection may wait for its functions. Where another message as
            large as the last one would exceed it, the socket is read no further until only a quarter of it still waits.
            A single message always fits.
        total_inbox_bytes: the same for all connections together, with what has come of messages that are not complete.
            Over it, a client whose messages wait or are handled is read no further. Where incomplete messages have half
            of it, the connections whose message has been coming for longest are closed with 1013.
        max_json_depth: how deep a client's message may be nested; the outermost object is 1.
        max_json_keys: how many object keys a client's message may have in all.
        bad_messages_limit: so many bad messages within the window close the connection with 1008.
        bad_messages_window_seconds: the window of ``bad_messages_limit``.
        handler_timeout_seconds: after so long a function of the user is cancelled.
        close_timeout_seconds: after so long without the client's close frame the transport is aborted; a client that
            is closed because it reads too slowly has 2 at most.
        handshake_timeout_seconds: how long a client may take over the head of a request, TLS included; so long may a
            connection be left unused.
        max_connections: open connections in all; None is what the process's limit on file descriptors leaves.
        max_connections_per_address: open connections of one client address, of IPv6 those of one network of 64 bits;
            None is no limit of its own. Clients without an address, on a UNIX socket, are in none.
        max_names: distinct names with open connections.
        pending_handshakes: connections whose request is not complete, at most a quarter of the process's limit on file
            descriptors; over it the oldest of the address that has the most is dropped, so that newcomers come in.
        handshake_head_bytes: the largest head of a request, in which there may be 100 headers; larger gets 400. So much
            may wait behind a request that is being answered; a client that sends more is dropped.
        max_request_body_bytes: the largest body of a request, chunked or not; larger gets 413 and is not kept. 0 takes
            no bodies; None is refused: there is no value for "any size".
        max_form_bytes: the largest body of a form that is not multipart (``application/x-www-form-urlencoded``); larger
            gets 413. ``max_request_body_bytes`` holds as well.
        request_timeout_seconds: how long a client may take over the whole body of a request, however large. After its
            first 10 s a body has to come at 1 KiB a second at least.
        response_timeout_seconds: how long a client may take over each 64 KiB of an HTTP answer that waits for it, and
            over the end of its connection; slower, and it is dropped.
        ping_interval_seconds: so long after the handshake, or after the last pong, a client is pinged.
        pong_timeout_seconds: a client whose pong has not come by then is gone, whatever else it sends.
        messages_per_second: how many messages of one client are handled; past ``message_burst`` its socket is read no
            faster, and nothing is lost.
        message_burst: how many messages of one client are handled at once.
        control_frames_per_second: how many pings and pongs one client may send; more close with 1008.
        control_frame_burst: how many of these may come at once.
        max_fragments: how many frames one message may come in; more close with 1008.
        message_timeout_seconds: how long one message may take to come while its socket is read; longer closes with
            1008.
        send_queue_bytes: how much may wait for one client that reads slowly, each message with 160 bytes for its place;
            one message is always taken.
        total_queue_bytes: how much may wait for all clients together; over it the slowest are closed with 4008.
        slow_client: what happens when a client's queue is full: ``"close"`` with 4008, ``"drop_oldest"``,
            ``"drop_newest"``, or ``"latest"``, where a message replaces a waiting one with the same ``key``.
        listen_backlog: connections that the system keeps for a listening socket until they are accepted.
        allowed_origins: origins (``https://example.com``, ``https://*.example.com``) that may connect beside the
            page's own; None is the page's own alone; ``*`` is every origin. Pages of applications have origins
            without a host: ``file://``, ``qrc://``, ``app://.``.
        allow_null_origin: whether ``Origin: null`` (sandboxed frames, files) may connect.
        allow_missing_origin: whether a client without an Origin header (not a browser) may connect; None is yes, but
            not through one of ``trusted_proxies``, which may have dropped the header of a browser.
        trusted_proxies: addresses or networks whose X-Forwarded-For and X-Forwarded-Host count; ``unix`` is whoever
            connects over a UNIX socket.
        compression: whether permessage-deflate (RFC 7692) is accepted. Then what clients send compressed is inflated;
            what the server sends is never compressed.
        fast: whether WebSockets are served by shorter ways past Twisted and Autobahn, which come to the same in less
            time and memory. ``PODE_SIGNALS_FAST=off`` in the environment turns these ways off as well.
        duplicate_client_id: ``"replace"`` closes the older connection with 4409, ``"refuse"`` answers the newer 409.
        unrouted: what becomes of messages without a signal route.
        default_scope: the scope of a conversion that names none.
    """

    max_message_bytes: int = field(default=65_536, validator=_count(1))
    max_outgoing_bytes: int = field(default=1_048_576, validator=_count(1))
    max_pending_messages: int = field(default=64, validator=_count(1))
    inbox_bytes: int = field(default=262_144, validator=_count(1))
    total_inbox_bytes: int = field(default=67_108_864, validator=_count(1))
    max_json_depth: int = field(default=32, validator=_count(1))
    max_json_keys: int = field(default=1_000, validator=_count(1))
    bad_messages_limit: int = field(default=10, validator=_count(1))
    bad_messages_window_seconds: float = field(default=60.0, validator=_above_0)
    handler_timeout_seconds: float = field(default=30.0, validator=_above_0)
    close_timeout_seconds: float = field(default=5.0, validator=_above_0)
    handshake_timeout_seconds: float = field(default=10.0, validator=_above_0)
    max_connections: int | None = field(default=None, validator=_count(1, none=True))
    max_connections_per_address: int | None = field(default=None, validator=_count(1, none=True))
    max_names: int = field(default=10_000, validator=_count(1))
    pending_handshakes: int = field(default=1_000, validator=_count(1))
    handshake_head_bytes: int = field(default=16_384, validator=_count(1_024))
    max_request_body_bytes: int = field(default=1_048_576, validator=_count(0))
    max_form_bytes: int = field(default=262_144, validator=_count(0))
    request_timeout_seconds: float = field(default=60.0, validator=_above_0)
    response_timeout_seconds: float = field(default=60.0, validator=_above_0)
    ping_interval_seconds: float = field(default=25.0, validator=_above_0)
    pong_timeout_seconds: float = field(default=10.0, validator=_above_0)
    messages_per_second: float = field(default=100.0, validator=_above_0)
    message_burst: int = field(default=200, validator=_count(1))
    control_frames_per_second: float = field(default=10.0, validator=_above_0)
    control_frame_burst: int = field(default=20, validator=_count(1))
    max_fragments: int = field(default=1_024, validator=_count(1))
    message_timeout_seconds: float = field(default=10.0, validator=_above_0)
    send_queue_bytes: int = field(default=1_048_576, validator=_count(1))
    total_queue_bytes: int = field(default=268_435_456, validator=_count(1))
    slow_client: Literal["close", "drop_oldest", "drop_newest", "latest"] = field(
        default="close", validator=_one_of("close", "drop_oldest", "drop_newest", "latest")
    )
    listen_backlog: int = field(default=1_024, validator=_count(1))
    allowed_origins: tuple[str, ...] | None = field(default=None, converter=_listed, validator=_origins)
    allow_null_origin: bool = field(default=False, validator=_flag)
    allow_missing_origin: bool | None = field(default=None, validator=_flag_or_none)
    trusted_proxies: tuple[str, ...] = field(default=(), converter=_listed, validator=_networks)
    compression: bool = field(default=False, validator=_flag)
    fast: bool = field(default=True, validator=_flag)
    duplicate_client_id: Literal["replace", "refuse"] = field(default="replace", validator=_one_of("replace", "refuse"))
    unrouted: Unrouted = field(default=Unrouted.BROADCAST, validator=_one_of(*Unrouted))
    default_scope: Scope = field(default=Scope.GLOBAL, validator=_one_of(*Scope))


class SettingsArguments(TypedDict, total=False):
    """The keyword arguments that :class:`Settings` takes, for type checkers."""

    max_message_bytes: int
    max_outgoing_bytes: int
    max_pending_messages: int
    inbox_bytes: int
    total_inbox_bytes: int
    max_json_depth: int
    max_json_keys: int
    bad_messages_limit: int
    bad_messages_window_seconds: float
    handler_timeout_seconds: float
    close_timeout_seconds: float
    handshake_timeout_seconds: float
    max_connections: int | None
    max_connections_per_address: int | None
    max_names: int
    pending_handshakes: int
    handshake_head_bytes: int
    max_request_body_bytes: int
    max_form_bytes: int
    request_timeout_seconds: float
    response_timeout_seconds: float
    ping_interval_seconds: float
    pong_timeout_seconds: float
    messages_per_second: float
    message_burst: int
    control_frames_per_second: float
    control_frame_burst: int
    max_fragments: int
    message_timeout_seconds: float
    send_queue_bytes: int
    total_queue_bytes: int
    slow_client: Literal["close", "drop_oldest", "drop_newest", "latest"]
    listen_backlog: int
    allowed_origins: Sequence[str] | None
    allow_null_origin: bool
    allow_missing_origin: bool | None
    trusted_proxies: Sequence[str]
    compression: bool
    fast: bool
    duplicate_client_id: Literal["replace", "refuse"]
    unrouted: Unrouted
    default_scope: Scope


SETTING_NAMES = tuple(attribute.name for attribute in fields(Settings))
"""The names of all settings, in the order of their documentation."""
