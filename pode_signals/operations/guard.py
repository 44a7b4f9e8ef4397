"""Who may do what: judges each request to an operator, or refuses. It reads no file and answers nothing itself."""

from __future__ import annotations

import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen
from twisted.internet.address import UNIXAddress

from ..core.addresses import is_loopback, limit_key, plain_address
from ..core.limits import WindowCounter
from ..core.origin import MAX_HOST_LENGTH, host_name, origin_allowed
from ..core.tokens import SCOPES, TokenExpired, Tokens, TokenUnknown, looks_like_token
from .problems import Problem

__all__ = ["FAILURES", "FAILURE_SECONDS", "Asking", "Guard", "Operator"]

FAILURES = 10
"""How many requests of one address may show no good token within :data:`FAILURE_SECONDS`."""
FAILURE_SECONDS = 60.0

# A request is only told to come later, so an address that is forgotten is no harm: there are 256 bits to guess.
_MOST_ADDRESSES = 1_000
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# A proxy that is on this machine passes on what others have sent.
_FORWARDING = (b"forwarded", b"via", b"x-real-ip")
_FORWARDED_PREFIX = b"x-forwarded-"
_READING = (b"GET", b"HEAD")
_OWN_SITE = (b"same-origin", b"none")
# What others call a token in a query. Nobody shall get used to it.
_TOKEN_ARGUMENTS = frozenset({"access_token", "api_key", "apikey", "auth", "authorization", "bearer", "token"})
_BEARER = "bearer"
_PEER_CREDENTIALS = struct.Struct("iII")


@frozen
class Operator:
    """Who asks.

    Attributes:
        label: ``local`` by a UNIX socket, ``loopback``, or the label of a token.
        scopes: what the operator may do.
    """

    label: str
    scopes: frozenset[str]

    def allows(self, scope: str) -> bool:
        """Whether the operator may do what a scope stands for."""
        return scope in self.scopes or "all" in self.scopes


_LOCAL = Operator("local", frozenset(SCOPES))
_LOOPBACK = Operator("loopback", frozenset({"metrics", "read"}))


@frozen
class Asking:
    """What is known of a request before it is judged.

    Attributes:
        method: the method.
        target: the path with the query.
        headers: the lines of each header, by its name in lower case.
        address: the other end of the socket; ``""`` for a UNIX socket.
        user_id: the user at the other end of a UNIX socket; None elsewhere, and where the system does not tell.
        is_secure: whether it came over TLS.
        is_from_application: whether it came by a port of the application.
    """

    method: bytes
    target: bytes
    headers: Mapping[bytes, Sequence[bytes]]
    address: str
    user_id: int | None = None
    is_secure: bool = False
    is_from_application: bool = False

    @classmethod
    def read(cls, request: Any, *, is_from_application: bool) -> Asking:
        """Read a ``twisted.web`` request."""
        peer = request.getClientAddress()
        headers = {name.lower(): lines for name, lines in request.requestHeaders.getAllRawHeaders()}
        return cls(
            request.method,
            request.uri,
            headers,
            plain_address(getattr(peer, "host", "")),
            _peer_user(request.transport) if isinstance(peer, UNIXAddress) else None,
            bool(request.isSecure()),
            is_from_application,
        )

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def lines(self, name: bytes) -> Sequence[bytes]:
        """The lines of a header."""
        return self.headers.get(name, ())

    @property
    def is_forwarded(self) -> bool:
        """Whether a proxy says that it passes on what somebody else has sent."""
        return any(name in _FORWARDING or name.startswith(_FORWARDED_PREFIX) for name in self.headers)

    @property
    def has_token_in_url(self) -> bool:
        """Whether a token stands in the URL, or what is meant to be one."""
        target = self.target.decode("latin-1")
        arguments = parse_qsl(target.partition("?")[2], keep_blank_values=True, max_num_fields=None)
        return looks_like_token(unquote(target)) or any(name.lower() in _TOKEN_ARGUMENTS for name, _ in arguments)


class Guard:
    """Judges requests.

    Attributes:
        tokens: the tokens that count now.
    """

    def __init__(self) -> None:
        self.tokens = Tokens()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def judge(self, asking: Asking, *, now: datetime, seconds: float, needs_operator: bool = True) -> Operator | None:
        """Who asks; None for anybody, where no operator is needed.

        Args:
            asking: the request.
            now: the time (aware).
            seconds: the time of a clock that nobody sets.
            needs_operator: whether a request without a token is refused that does not come by a way that needs none.

        Raises:
            Problem: the request shows a token that is not good, or lacks one.
        """
        if asking.has_token_in_url:
            raise Problem("token-in-url")
        shown = _shown_token(asking)
        if shown is None:
            operator = _without_token(asking)
            if operator is None and needs_operator:
                raise self._refused("token-missing", asking, seconds)
            return operator
        # Who shows a token is judged by it, wherever the request comes from.
        try:
            token = self.tokens.find(shown, now)
        except TokenUnknown:
            raise self._refused("token-unknown", asking, seconds) from None
        except TokenExpired:
            raise self._refused("token-expired", asking, seconds) from None
        return Operator(token.label, token.scopes)

    def _refused(self, code: str, asking: Asking, seconds: float) -> Problem:
        """Count a failure. What is told: 401, or 429 where there were too many of them."""
        key = limit_key(asking.address)
        failures = self._failures.pop(key, None) or _Failures()
        self._failures[key] = failures
        if len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)
        wait_seconds = failures.wait_seconds(seconds)
        if wait_seconds > 0:
            return Problem("rate-limited", headers={b"Retry-After": b"%d" % ceil(wait_seconds)})
        return Problem(code, headers={b"WWW-Authenticate": b"Bearer"})


class _Failures:
    """The requests of one address that showed no good token."""

    __slots__ = ("_counter", "_until")

    def __init__(self) -> None:
        self._counter = WindowCounter(FAILURES, FAILURE_SECONDS)
        self._until = 0.0

    def wait_seconds(self, now: float) -> float:
        """Count one more; how long the address has to wait, 0 where it has not failed too often."""
        if now < self._until:
            return self._until - now
        # From the next one on.
        if self._counter.hit(now):
            self._until = now + FAILURE_SECONDS
        return 0.0


def _shown_token(asking: Asking) -> str | None:
    """What stands behind ``Authorization: Bearer``; None where there is no such header, or one of another scheme."""
    lines = asking.lines(b"authorization")
    if not lines:
        return None
    # Of two headers the caller and a proxy might each mean another.
    if len(lines) > 1:
        return ""
    scheme, _, text = lines[0].decode("latin-1").partition(" ")
    return text.strip(" ") if scheme.lower() == _BEARER else None


def _without_token(asking: Asking) -> Operator | None:
    # On a port of the application the other end is mostly a proxy, of this machine or of its own user.
    if asking.is_from_application or asking.is_forwarded:
        return None
    if asking.user_id is not None:
        return _LOCAL if asking.user_id in (0, os.geteuid()) else None
    return _LOOPBACK if _is_local_reader(asking) else None


def _is_local_reader(asking: Asking) -> bool:
    """Whether a request comes from this machine, reads only, and was not made by a page of another site.

    Any page in a browser of this machine, and any user of it, can reach loopback. A page whose name was rebound to
    loopback has another Host.
    """
    if not asking.address or not is_loopback(asking.address) or asking.method not in _READING:
        return False
    hosts = asking.lines(b"host")
    if len(hosts) != 1 or len(hosts[0]) > MAX_HOST_LENGTH:
        return False
    host = hosts[0].decode("latin-1")
    if host_name(host) not in _LOOPBACK_HOSTS:
        return False
    if any(each not in _OWN_SITE for each in asking.lines(b"sec-fetch-site")):
        return False
    # Older browsers do not send Sec-Fetch-Site.
    return all(_is_own_page(each.decode("latin-1"), host, asking) for each in asking.lines(b"origin"))


def _is_own_page(origin: str, host: str, asking: Asking) -> bool:
    return origin_allowed(
        origin,
        host,
        allowed_origins=None,
        own_ports=(),
        secure=asking.is_secure,
        allow_null=False,
        allow_missing=True,
    )


def _peer_user(transport: Any) -> int | None:
    """The user at the other end of a UNIX socket, as the system says; None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    try:
        credentials = transport.getHandle().getsockopt(socket.SOL_SOCKET, option, _PEER_CREDENTIALS.size)
    # Within TLS there is no socket to be asked.
    except (OSError, AttributeError):
        return None
    user_id: int = _PEER_CREDENTIALS.unpack(credentials)[1]
    return user_id
