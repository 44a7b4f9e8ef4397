"""The settings of a hub: every limit and default, described once, checked once at construction. Nothing acts here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

from attrs import fields, frozen

from .descriptions import with_descriptions
from .model import DuplicateClientId, Scope, Unrouted
from .nearest import unknown
from .outbox import SlowClient
from .setting_fields import amount, choice, count, flag, networks, origins

__all__ = ["SETTING_NAMES", "Settings", "SettingsArguments"]


@with_descriptions
@frozen(kw_only=True, init=False)
class Settings:
    """Every setting of a hub with its default; they are the keyword arguments of :class:`~pode_signals.Signals`.

    Raises:
        ValueError: a setting makes no sense; the sentence names the setting.
        TypeError: there is no such setting; the sentence names the nearest one.
    """

    max_message_bytes: int = count(
        65_536,
        "bytes",
        "The largest message of a client, after decompression. A larger one closes the connection with 1009.",
    )
    max_outgoing_bytes: int = count(
        1_048_576, "bytes", "The largest message that ``send`` takes. A larger one raises ``MessageTooBig``."
    )
    max_pending_messages: int = count(
        64,
        "messages",
        "How many messages of one connection may wait for its functions. When so many wait, the server stops reading"
        " the client's socket, until a quarter of them is left.",
    )
    inbox_bytes: int = count(
        262_144,
        "bytes",
        "How many bytes of messages of one connection may wait for its functions. When another message as large as the"
        " last one would not fit, the server stops reading the client's socket, until a quarter of this limit is left."
        " A single message always fits.",
    )
    total_inbox_bytes: int = count(
        67_108_864,
        "bytes",
        "How many bytes of messages the server may hold for all clients together: messages that wait for functions, and"
        " messages of which only a part has arrived. Above this limit the server reads nothing more from clients that"
        " have messages waiting or being handled. If the messages of which only a part has arrived take half of this"
        " limit, the server closes connections with 1013. The one whose message began first is closed first.",
    )
    max_json_depth: int = count(
        32, "levels", "How deep a client's message may be nested. The outermost object is level 1."
    )
    max_json_keys: int = count(1_000, "keys", "How many keys all objects in a client's message may have together.")
    bad_messages_limit: int = count(
        10, "messages", "How many bad messages within ``bad_messages_window_seconds`` close the connection with 1008."
    )
    bad_messages_window_seconds: float = amount(
        60.0, "seconds", "The time within which ``bad_messages_limit`` counts bad messages."
    )
    handler_timeout_seconds: float = amount(
        30.0, "seconds", "How long a signal route, or another function of yours, may take. Then it is cancelled."
    )
    close_timeout_seconds: float = amount(
        5.0,
        "seconds",
        "How long the server waits for a client's close frame before it aborts the transport. A client that is closed"
        " because it reads too slowly gets 2 seconds at most.",
    )
    handshake_timeout_seconds: float = amount(
        10.0,
        "seconds",
        "How long a client may take to send the head of a request, including the TLS handshake. An HTTP connection may"
        " stay unused for the same time.",
    )
    max_connections: int | None = count(
        None,
        "connections",
        "How many connections may be open. None: as many as the process's limit on file descriptors allows.",
    )
    max_connections_per_address: int | None = count(
        None,
        "connections",
        "How many connections of one client address may be open; of IPv6 addresses, those of one network of 64 bits"
        " count together. None: no limit for one address. A client without an address, on a UNIX socket, has no limit"
        " of this kind.",
    )
    max_names: int = count(10_000, "names", "How many different names open connections may have.")
    max_groups: int = count(
        100,
        "groups",
        "How many groups one connection may be in. ``convert`` and ``join`` raise ``ValueError`` for more.",
    )
    pending_handshakes: int = count(
        1_000,
        "connections",
        "How many connections may wait with an incomplete request; at most a quarter of the process's limit on file"
        " descriptors. When another one comes, the server drops the oldest of the address that has the most of them.",
    )
    handshake_head_bytes: int = count(
        16_384,
        "bytes",
        "The largest head of a request, which may have 100 headers. The answer to a larger one is 400. As many bytes"
        " may wait behind a request that is being answered; the server drops a client that sends more.",
        least=1_024,
    )
    max_request_body_bytes: int = count(
        1_048_576,
        "bytes",
        "The largest body of a request, chunked or not. The answer to a larger one is 413, and nothing of it is kept."
        " 0 allows no bodies. No value stands for any size.",
        least=0,
    )
    max_form_bytes: int = count(
        262_144,
        "bytes",
        "The largest body of a form that is not multipart (``application/x-www-form-urlencoded``). The answer to a"
        " larger one is 413. ``max_request_body_bytes`` limits forms as well.",
        least=0,
    )
    request_timeout_seconds: float = amount(
        60.0,
        "seconds",
        "How long a client may take to send the whole body of a request, however large the body is. After the first 10"
        " seconds the body has to arrive at 1 KiB a second or faster.",
    )
    response_timeout_seconds: float = amount(
        60.0,
        "seconds",
        "How long a client may take to read each 64 KiB of an HTTP answer that waits for it, and to end its connection."
        " The server drops a client that takes longer.",
    )
    ping_interval_seconds: float = amount(
        25.0, "seconds", "The time from the handshake, or from the last pong, to the next ping of the server."
    )
    pong_timeout_seconds: float = amount(
        10.0,
        "seconds",
        "How long the server waits for a pong. Then the connection is over, whatever else the client sends.",
    )
    messages_per_second: float = amount(
        100.0,
        "messages a second",
        "How many messages of one client the server handles each second. When a client has used up ``message_burst``,"
        " the server reads its socket no faster than this. No message is lost.",
    )
    message_burst: int = count(
        200, "messages", "How many messages of one client the server handles before ``messages_per_second`` applies."
    )
    control_frames_per_second: float = amount(
        10.0,
        "frames a second",
        "How many pings and pongs one client may send each second. More of them close the connection with 1008.",
    )
    control_frame_burst: int = count(
        20, "frames", "How many pings and pongs one client may send before ``control_frames_per_second`` applies."
    )
    max_fragments: int = count(
        1_024, "frames", "How many frames one message may be split into. More frames close the connection with 1008."
    )
    message_timeout_seconds: float = amount(
        10.0,
        "seconds",
        "How long one message may take to arrive. Only the time counts in which the server reads the client's socket. A"
        " slower message closes the connection with 1008.",
    )
    send_queue_bytes: int = count(
        1_048_576,
        "bytes",
        "How much may wait for one client that reads slowly. Each message counts 160 bytes more than its size. An empty"
        " queue takes a message of any size.",
    )
    total_queue_bytes: int = count(
        268_435_456,
        "bytes",
        "How much may wait for all clients together. Above this limit the server closes the slowest clients with 4008.",
    )
    slow_client: SlowClient = choice(
        SlowClient.CLOSE,
        "What happens when the queue of a slow client is full. ``close`` closes the connection with 4008."
        " ``drop_oldest`` drops the messages that have waited longest, ``drop_newest`` drops the new message."
        " ``latest`` replaces a waiting message that has the same ``key`` as the new one; if the queue is"
        " full all the same, it closes the connection. Where a name keeps a history, a client of ``pode.signals.v1`` is"
        " closed whatever this says, and gets what it missed when it comes back.",
    )
    signals_protocol: bool = flag(
        True,
        "Whether clients that offer the subprotocol ``pode.signals.v1`` get it: frames with a type, and the signals"
        " that they missed when they come back. All other clients get bare messages.",
    )
    allow_sse: bool = flag(
        False,
        "Whether a GET that accepts ``text/event-stream`` becomes a connection over server-sent events, for networks"
        " that block WebSockets. Its client sends by POST.",
    )
    resume_token_seconds: float = amount(
        3_600.0,
        "seconds",
        "How long a client that lost its connection may come back as the same client, with its client id and the groups"
        " that it has joined.",
    )
    total_history_bytes: int = count(
        67_108_864,
        "bytes",
        "How much the histories of all names keep together. Each message counts 700 bytes more than its size. Above"
        " this limit the largest histories drop their oldest messages.",
    )
    max_pending_acknowledgements: int = count(
        100_000,
        "recipients",
        "From how many recipients acknowledged sends may wait for an answer, all sends together. A send that would wait"
        " for more raises ``TooManyAcknowledgements``.",
    )
    expiry_grace_seconds: float = amount(
        25.0,
        "seconds",
        "How long a connection stays open after it has expired, for its client to renew it. Then it is closed with"
        " 4401.",
    )
    presence_grace_seconds: float = amount(
        15.0,
        "seconds",
        "How long a client that lost its connection still counts as present, where a name shares who is there. One that"
        " is back before was never away.",
    )
    listen_backlog: int = count(
        1_024,
        "connections",
        "How many connections the operating system keeps for a listening socket until the server accepts them.",
    )
    allowed_origins: tuple[str, ...] | None = origins(
        "The origins whose pages may connect, besides the server's own pages: ``https://example.com``,"
        " ``https://*.example.com``, or ``*`` for every origin. Pages of installed applications have origins without a"
        " host: ``file://``, ``qrc://``, ``app://.``. None: the server's own pages alone."
    )
    allow_null_origin: bool = flag(
        False, "Whether pages with ``Origin: null`` may connect. Sandboxed frames and local files have this origin."
    )
    allow_missing_origin: bool | None = flag(
        None,
        "Whether clients without an Origin header may connect. Browsers always send one; other programs often do not."
        " None: yes, but not through one of ``trusted_proxies``, which may have removed the header of a browser.",
    )
    trusted_proxies: tuple[str, ...] = networks(
        "The addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Host count. ``unix`` is every"
        " client of a UNIX socket."
    )
    compression: bool = flag(
        False,
        "Whether the server accepts permessage-deflate (RFC 7692). Clients may then compress what they send. The server"
        " itself never compresses.",
    )
    fast: bool = flag(
        True,
        "Whether faster code of this package serves WebSockets in place of Twisted's and Autobahn's. Clients see no"
        " difference; the server needs less time and memory. ``PODE_SIGNALS_FAST=off`` in the environment turns the"
        " faster code off as well.",
    )
    duplicate_client_id: DuplicateClientId = choice(
        DuplicateClientId.REPLACE,
        "What happens when a client connects with the name and client id of an open connection. ``replace`` closes the"
        " older connection with 4409, ``refuse`` answers the newer one with 409.",
    )
    unrouted: Unrouted = choice(
        Unrouted.BROADCAST,
        "What happens to a client's message for which there is no signal route. ``broadcast`` sends it on to the"
        " connections that it names, or to all connections if it names none. ``same_name`` does the same within the"
        " name of the sender. ``drop`` drops it.",
    )
    default_scope: Scope = choice(
        Scope.GLOBAL,
        "The scope of a connection where ``convert`` names none. A ``global`` connection outlives its route and gets"
        " broadcasts; a ``local`` one belongs to its route and ends with it.",
    )

    def __init__(self, **settings: Unpack[SettingsArguments]) -> None:
        given: Mapping[str, Any] = settings
        for name in given:
            if name not in SETTING_NAMES:
                raise TypeError(unknown("setting", name, SETTING_NAMES))
        self.__attrs_init__(**given)


class SettingsArguments(TypedDict, total=False):
    """The keyword arguments that :class:`Settings` takes, for type checkers, which read no metadata."""

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
    max_groups: int
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
    slow_client: SlowClient | Literal["close", "drop_oldest", "drop_newest", "latest"]
    signals_protocol: bool
    allow_sse: bool
    resume_token_seconds: float
    total_history_bytes: int
    max_pending_acknowledgements: int
    expiry_grace_seconds: float
    presence_grace_seconds: float
    listen_backlog: int
    allowed_origins: Sequence[str] | None
    allow_null_origin: bool
    allow_missing_origin: bool | None
    trusted_proxies: Sequence[str]
    compression: bool
    fast: bool
    duplicate_client_id: DuplicateClientId | Literal["replace", "refuse"]
    unrouted: Unrouted | Literal["broadcast", "same_name", "drop"]
    default_scope: Scope | Literal["global", "local"]


SETTING_NAMES = tuple(attribute.name for attribute in fields(Settings))
"""The names of all settings, in the order of their documentation."""
