"""Who a connection is: names, groups and client ids, checked and signed.

The signatures themselves are made in ``core/signing.py``; nothing here knows which connections are open.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.logger import Logger

from ..core.addresses import UNIX_PEER, TrustedProxies, plain_address
from ..core.model import Identity
from ..core.names import check_name, client_id_text
from ..core.origin import forwarded_host
from ..core.request_record import HandshakeRecord, header_value_text
from ..core.signing import Caller, Signer, bare_client_id
from ..errors import ClientIdInvalid, NameInvalid, SigningInUse
from .link import Link
from .runtime import Runtime

__all__ = ["Identities"]

_SIGNED = "s:"
_VERSION_4 = 0x4000 << 64 | 0x8000 << 48  # and the variant of RFC 9562
_RANDOM_BITS = ~(0xF000 << 64 | 0xC000 << 48)


class Identities:
    """The client ids of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        runtime: the surroundings.
        is_empty: whether no connection is open.
    """

    _log = Logger()

    def __init__(self, runtime: Runtime, is_empty: Callable[[], bool]) -> None:
        self._random = runtime.random
        self._proxies = TrustedProxies(runtime.settings.trusted_proxies)
        self._is_empty = is_empty
        self._signer: Signer | None = None
        self._warned = False
        self._default_secret = secrets.token_urlsafe(32)

    @property
    def default_secret(self) -> str:
        """A random secret, another at each start (Pode: ``Get-PodeServerDefaultSecret``)."""
        return self._default_secret

    @property
    def is_signing(self) -> bool:
        """Whether client ids are signed."""
        return self._signer is not None

    def enable_signing(self, secret: str | bytes | Sequence[str | bytes], *, strict: bool = False) -> None:
        """``signals.enable_signing``."""
        signer = Signer((secret,) if isinstance(secret, (str, bytes)) else tuple(secret), strict=strict)
        self._set_signer(signer)
        self._warn_if_weak(signer)

    def replace_secrets(self, secret: str | bytes | Sequence[str | bytes]) -> None:
        """``signals.replace_secrets``."""
        if self._signer is None:
            raise ValueError("signing is off, so there are no secrets to replace: enable_signing turns it on")
        several = (secret,) if isinstance(secret, (str, bytes)) else tuple(secret)
        self._signer = Signer(several, strict=self._signer.strict)
        self._warn_if_weak(self._signer)

    def disable_signing(self) -> None:
        """``signals.disable_signing``."""
        self._set_signer(None)

    def new_client_id(self, client_id: str | int | None = None, request: Any = None) -> str:
        """``signals.new_client_id``."""
        return self._issue(client_id, self._caller(request))

    def is_client_id_signed(self, client_id: str | int, request: Any = None) -> bool:
        """``signals.is_client_id_signed``."""
        client_id = client_id_text(client_id)
        return self._signer is not None and self._signer.verify(client_id, self._caller(request))

    def is_client_id_valid(self, client_id: str | int, request: Any = None) -> bool:
        """``signals.is_client_id_valid``."""
        client_id = client_id_text(client_id)
        try:
            check_name("client id", bare_client_id(client_id))
        except NameInvalid:
            return False
        if self._signer is not None:
            return self._signer.verify(client_id, self._caller(request))
        return not client_id.startswith(_SIGNED)

    def client_address(self, request: Any) -> str:
        """The address of a request's client.

        Args:
            request: a ``twisted.web`` request.

        Returns:
            The socket's address, or the one that trusted proxies report; ``""`` where there is neither, on a UNIX
            socket.
        """
        return self._proxies.client_address(_peer(request), _lines(request, b"x-forwarded-for"))

    def is_trusted_proxy(self, request: Any) -> bool:
        """Whether a ``twisted.web`` request's socket is one of ``trusted_proxies``."""
        return self._proxies.trusts(_peer(request))

    def forwarded_host(self, request: Any) -> str | None:
        """The Host that trusted proxies say a ``twisted.web`` request was for; None where none of them says so."""
        lines = _lines(request, b"x-forwarded-host")
        if not lines:
            return None
        addresses = _lines(request, b"x-forwarded-for")
        hops = self._proxies.hops(_peer(request), addresses)
        if not hops:
            return None
        # The socket's own end is a hop that X-Forwarded-For does not name.
        return forwarded_host(lines, hops - 1 if addresses else None)

    def identify(self, name: str, group: str | None, client_id: str | int | None, request: HandshakeRecord) -> Identity:
        """Check a conversion's name, group and client id, and issue the id."""
        check_name("name", name)
        if group is not None:
            check_name("group", group)
        caller = None if self._signer is None else _caller_of(request)
        if caller is not None and self._signer is not None and self._signer.strict and not caller.address:
            self._warn_of_no_address()
        return Identity(name, group, self._issue(client_id, caller))

    def all_hold(self, client_ids: tuple[str, ...], holders: Callable[[str], Iterable[Link]]) -> bool:
        """Whether the client ids of a client's message are valid.

        Args:
            client_ids: the ids.
            holders: gives the connections that have an id: a strictly signed one is valid for its holder.
        """
        signer = self._signer
        if signer is None:
            return True
        if not signer.strict:
            return all(signer.verify(each, None) for each in dict.fromkeys(client_ids))
        return all(
            any(self.is_client_id_valid(each, holder.request) for holder in holders(each))
            for each in dict.fromkeys(client_ids)
        )

    def _issue(self, client_id: str | int | None, caller: Caller | None) -> str:
        if client_id is None:
            client_id = _uuid4(self._random.getrandbits(128))
            return client_id if self._signer is None else self._signer.sign(client_id, caller)
        client_id = client_id_text(client_id)
        if client_id.startswith(_SIGNED):
            if self._signer is None or not self._signer.verify(client_id, caller):
                raise ClientIdInvalid
            check_name("client id", bare_client_id(client_id))
            return client_id
        check_name("client id", client_id)
        return client_id if self._signer is None else self._signer.sign(client_id, caller)

    def _caller(self, request: Any) -> Caller | None:
        if self._signer is None or not self._signer.strict:
            return None
        if request is None:
            raise ValueError("strict signing needs a request or a current event")
        if isinstance(request, HandshakeRecord):
            return _caller_of(request)
        agents = request.requestHeaders.getRawHeaders(b"user-agent", [])
        # As a HandshakeRecord gives it, so that an id made for a request is good for its conversion.
        user_agent = ", ".join(header_value_text(agent) for agent in agents)
        return Caller(user_agent=user_agent, address=self.client_address(request))

    def _warn_of_no_address(self) -> None:
        if not self._warned:
            self._warned = True
            self._log.warn(
                "signing is strict, and a client on a UNIX socket has no address: no client id is valid that it shows;"
                ' trusted_proxies=["unix"] takes the address that a proxy reports in X-Forwarded-For'
            )

    def _warn_if_weak(self, signer: Signer) -> None:
        if signer.weak:
            self._log.warn("a signing secret has under 32 bytes: it can be guessed")

    def _set_signer(self, signer: Signer | None) -> None:
        if not self._is_empty():
            raise SigningInUse
        self._signer = signer


def _uuid4(bits: int) -> str:
    """A version-4 UUID of 128 random bits (RFC 9562 section 5.4), in half the time that ``uuid`` takes."""
    digits = f"{bits & _RANDOM_BITS | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _peer(request: Any) -> str:
    """The other end of a request's socket: an address, ``UNIX_PEER``, or ``""`` for what is neither."""
    address = request.getClientAddress()
    if isinstance(address, UNIXAddress):
        return UNIX_PEER
    return plain_address(getattr(address, "host", None) or "")


def _lines(request: Any, header: bytes) -> list[str]:
    return [line.decode("latin-1") for line in request.requestHeaders.getRawHeaders(header, [])]


def _caller_of(request: HandshakeRecord) -> Caller:
    return Caller(user_agent=request.header("user-agent") or "", address=request.address)
