"""Who a connection is: names, groups and client ids, checked and signed.

The signatures themselves are made in ``core/signing.py``; nothing here knows which connections are open.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from random import Random

from attrs import frozen
from twisted.logger import Logger

from ..core.names import check_name, client_id_text
from ..core.request_record import RequestRecord
from ..core.signing import Caller, Signer, bare_client_id
from ..errors import ClientIdInvalid, NameInvalid, SigningInUse
from .context import current_event

__all__ = ["Identities", "Identity", "caller_of"]

_SIGNED = "s:"
_VERSION_4 = 0x4000 << 64 | 0x8000 << 48  # and the variant of RFC 9562
_RANDOM_BITS = ~(0xF000 << 64 | 0xC000 << 48)


@frozen
class Identity:
    """A checked name, group and issued client id."""

    name: str
    group: str | None
    client_id: str


def caller_of(record: RequestRecord) -> Caller:
    """Whom a client id is bound to in strict mode: the client whose request a connection keeps."""
    return Caller(user_agent=record.header("user-agent") or "", address=record.address)


class Identities:
    """The client ids of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        random: where new client ids come from.
        is_empty: whether no connection is open.
        check_thread: raises where the caller is in the wrong thread.
    """

    _identity_log = Logger()

    def __init__(
        self,
        random: Random,
        is_empty: Callable[[], bool],
        check_thread: Callable[[str], None],
    ) -> None:
        self._identity_random = random
        self._identity_is_empty = is_empty
        self._identity_check_thread = check_thread
        self._signer: Signer | None = None
        self._identity_warned = False
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
        """Sign every client id (Pode: ``Enable-PodeSignalSigning``).

        Args:
            secret: the secret, at least 32 bytes; or several: the first signs, each verifies.
            strict: whether the client's User-Agent and address become part of the secret. Then no id is valid that a
                client without an address shows (one on a UNIX socket, unless a trusted proxy reports its address).

        Raises:
            ValueError: a secret is empty, or none was given.
            SigningInUse: a connection is open.
            NotInReactorThread: called from another thread.
        """
        self._identity_check_thread("enable_signing")
        signer = Signer((secret,) if isinstance(secret, (str, bytes)) else tuple(secret), strict=strict)
        self._set_signer(signer)
        self._warn_if_weak(signer)

    def replace_secrets(self, secret: str | bytes | Sequence[str | bytes]) -> None:
        """Sign with other secrets from now on, while connections are open; signing stays as strict as it is.

        Ids that none of the new secrets verifies are no longer valid, those of open connections included: keep the old
        secret behind the new one for as long as its ids are in use.

        Args:
            secret: as for :meth:`enable_signing`.

        Raises:
            ValueError: signing is off, a secret is empty, or none was given; then the old ones stay.
            NotInReactorThread: called from another thread.
        """
        self._identity_check_thread("replace_secrets")
        if self._signer is None:
            raise ValueError("signing is off, so there are no secrets to replace: enable_signing turns it on")
        several = (secret,) if isinstance(secret, (str, bytes)) else tuple(secret)
        self._signer = Signer(several, strict=self._signer.strict)
        self._warn_if_weak(self._signer)

    def disable_signing(self) -> None:
        """Sign no client ids (Pode: ``Disable-PodeSignalSigning``).

        Raises:
            SigningInUse: a connection is open.
            NotInReactorThread: called from another thread.
        """
        self._identity_check_thread("disable_signing")
        self._set_signer(None)

    # What is asked with a caller: None is that of the current event, which strict signing alone looks at.

    def issue(self, client_id: str | int | None, caller: Caller | None = None) -> str:
        """``Signals.new_client_id``, for a caller in place of a request."""
        return self._issue(client_id, self._caller(caller))

    def is_signed(self, client_id: str | int, caller: Caller | None = None) -> bool:
        """``Signals.is_client_id_signed``, for a caller in place of a request."""
        client_id = client_id_text(client_id)
        return self._signer is not None and self._signer.verify(client_id, self._caller(caller))

    def is_valid(self, client_id: str | int, caller: Caller | None = None) -> bool:
        """``Signals.is_client_id_valid``, for a caller in place of a request."""
        client_id = client_id_text(client_id)
        try:
            check_name("client id", bare_client_id(client_id))
        except NameInvalid:
            return False
        if self._signer is not None:
            return self._signer.verify(client_id, self._caller(caller))
        return not client_id.startswith(_SIGNED)

    def identify(self, name: str, group: str | None, client_id: str | int | None, request: RequestRecord) -> Identity:
        """Check a conversion's name, group and client id, and issue the id."""
        check_name("name", name)
        if group is not None:
            check_name("group", group)
        caller = caller_of(request) if self._signer is not None and self._signer.strict else None
        if caller is not None and not caller.address:
            self._warn_of_no_address()
        return Identity(name, group, self._issue(client_id, caller))

    def _issue(self, client_id: str | int | None, caller: Caller | None) -> str:
        if client_id is None:
            client_id = _uuid4(self._identity_random.getrandbits(128))
            return client_id if self._signer is None else self._signer.sign(client_id, caller)
        client_id = client_id_text(client_id)
        if client_id.startswith(_SIGNED):
            if self._signer is None or not self._signer.verify(client_id, caller):
                raise ClientIdInvalid
            check_name("client id", bare_client_id(client_id))
            return client_id
        check_name("client id", client_id)
        return client_id if self._signer is None else self._signer.sign(client_id, caller)

    def _caller(self, caller: Caller | None) -> Caller | None:
        if self._signer is None or not self._signer.strict:
            return None
        if caller is not None:
            return caller
        event = current_event.get()
        if event is None or event.connection.hub is not self:
            raise ValueError("strict signing needs a request or a current event")
        return caller_of(event.request)

    def _warn_of_no_address(self) -> None:
        if not self._identity_warned:
            self._identity_warned = True
            self._identity_log.warn(
                "signing is strict, and a client on a UNIX socket has no address: no client id is valid that it shows;"
                ' trusted_proxies=["unix"] takes the address that a proxy reports in X-Forwarded-For'
            )

    def _warn_if_weak(self, signer: Signer) -> None:
        if signer.weak:
            self._identity_log.warn("a signing secret has under 32 bytes: it can be guessed")

    def _set_signer(self, signer: Signer | None) -> None:
        if not self._identity_is_empty():
            raise SigningInUse
        self._signer = signer


def _uuid4(bits: int) -> str:
    """A version-4 UUID of 128 random bits (RFC 9562 section 5.4), in half the time that ``uuid`` takes."""
    digits = f"{bits & _RANDOM_BITS | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
