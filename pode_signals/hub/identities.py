"""Who a connection is: names, groups and client ids, checked and signed.

The signatures themselves are made in ``core/signing.py``; nothing here knows which connections are open.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

from attrs import evolve
from twisted.logger import Logger

from ..core.groups import checked_groups
from ..core.model import Identity
from ..core.names import check_name, client_id_text
from ..core.request_record import RequestRecord
from ..core.signing import Caller, Signer, bare_client_id
from ..errors import ClientIdInvalid, NameInvalid, SigningInUse
from .dialogue import ComingBack
from .link import Link
from .runtime import Runtime

__all__ = ["Identities", "caller_of"]

_SIGNED = "s:"
# The bits of a UUID that say version 4 and the variant of RFC 9562.
_VERSION_4 = 0x4000 << 64 | 0x8000 << 48
_RANDOM_BITS = ~(0xF000 << 64 | 0xC000 << 48)


def caller_of(record: RequestRecord) -> Caller:
    """Whom a client id is bound to in strict mode: the client whose request a connection keeps."""
    return Caller(user_agent=record.header("user-agent") or "", address=record.address)


class Identities:
    """The client ids of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        runtime: the surroundings.
        is_empty: whether no connection is open.
    """

    _log = Logger()

    def __init__(self, runtime: Runtime, is_empty: Callable[[], bool]) -> None:
        self._random = runtime.random
        self._reports = runtime.reports
        self._max_groups = runtime.settings.max_groups
        self._is_empty = is_empty
        self._signer: Signer | None = None
        self._warned = False
        self._default_secret = secrets.token_urlsafe(32)

    @property
    def default_secret(self) -> str:
        """A random secret, another one at each start.

        Pode: ``Get-PodeServerDefaultSecret``.
        """
        return self._default_secret

    @property
    def is_signing(self) -> bool:
        """Whether client ids are signed."""
        return self._signer is not None

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets that client ids are signed with, the first of them with new ones; none where signing is off."""
        return () if self._signer is None else self._signer.secrets

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

    def is_valid_for(self, client_id: str, request: RequestRecord) -> bool:
        """Whether a client id, as it was issued, is valid for the client that sent a request."""
        return self.is_valid(client_id, self._caller_of(request))

    def identify(
        self,
        name: str,
        group: str | Sequence[str] | None,
        client_id: str | int | None,
        request: RequestRecord,
        known: str | None = None,
    ) -> Identity:
        """Check a conversion's name, groups and client id, and issue the id.

        Args:
            name, group, client_id: as ``convert`` gives them.
            request: a record of the client's request.
            known: the id of a client that comes back, as it was issued, which is valid for this request. It counts in
                place of ``client_id``, and may have the signature of an older secret.
        """
        check_name("name", name)
        groups = checked_groups(group)
        self.check_count(groups)
        caller = self._caller_of(request)
        if caller is not None and not caller.address:
            self._warn_of_no_address()
        return Identity(name, groups, self._issue(client_id, caller) if known is None else known)

    def with_joined(
        self, identity: Identity, back: ComingBack | None, half_open: Link | None = None
    ) -> tuple[Identity, ComingBack | None]:
        """Give a client that comes back the groups that it had joined: all of them, or none where they are too many.

        Args:
            identity: who it is, with the groups that ``convert`` gave.
            back: what it offered; None where it does not come back.
            half_open: its connection that it replaces; None where there is none. The client may not have heard of the
                last groups that this one has joined, so that its token does not have them.
        """
        if back is None:
            return identity, back
        joined = list(back.resumption.groups)
        if half_open is not None and half_open.dialogue is not None and back.resumption.is_whole:
            joined += (each for each in half_open.groups if each not in half_open.dialogue.granted)
        if not joined:
            return identity, back
        groups = tuple(dict.fromkeys((*identity.groups, *joined)))
        if len(groups) <= self._max_groups:
            return evolve(identity, groups=groups), back
        self._reports.limit("max_groups", "a client that came back was to be in {count} groups", count=len(groups))
        return identity, back._replace(resumption=back.resumption._replace(groups=(), is_whole=False))

    def check_count(self, groups: tuple[str, ...]) -> None:
        """Raise a ValueError where these are more groups than one connection may be in."""
        if len(groups) > self._max_groups:
            self._reports.limit("max_groups", "a connection was to be in {count} groups", count=len(groups))
            raise ValueError(f"a connection may be in {self._max_groups} groups at most (max_groups)")

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

    def _caller_of(self, request: RequestRecord) -> Caller | None:
        """The client that sent a request; None where nobody needs to know, since the headers have to be read for it."""
        return caller_of(request) if self._signer is not None and self._signer.strict else None

    def _caller(self, caller: Caller | None) -> Caller | None:
        if self._signer is None or not self._signer.strict:
            return None
        if caller is not None:
            return caller
        raise ValueError("strict signing needs a request or a current event")

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
            any(self.is_valid(each, caller_of(holder.request)) for holder in holders(each))
            for each in dict.fromkeys(client_ids)
        )

    def _warn_of_no_address(self) -> None:
        if not self._warned:
            self._warned = True
            self._log.warn(
                "signing is strict, and a client on a UNIX socket has no address: no client id is valid that it shows;"
                ' trusted_proxies=["unix"] takes the address that a proxy reports in X-Forwarded-For',
                event="signing.no_address",
            )

    def _warn_if_weak(self, signer: Signer) -> None:
        if signer.weak:
            self._log.warn("a signing secret has under 32 bytes: it can be guessed", event="signing.short_secret")

    def _set_signer(self, signer: Signer | None) -> None:
        if not self._is_empty():
            raise SigningInUse
        self._signer = signer


def _uuid4(bits: int) -> str:
    """A version-4 UUID of 128 random bits (RFC 9562 section 5.4), in half the time that ``uuid`` takes."""
    digits = f"{bits & _RANDOM_BITS | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
