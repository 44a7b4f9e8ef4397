"""Resume tokens: who a client was, signed by the server for the client's next connection. It reads no clock.

A token opens nothing: the route decides first, and as ever. A token that does not count is passed over, and is never a
reason to refuse a request.
"""

from __future__ import annotations

import hmac
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from .model import Scope
from .resume import MAX_TOKEN_CHARACTERS
from .signing import bare_client_id, secret_bytes

__all__ = ["NO_TOKEN", "Conversion", "PassedOver", "ResumeIdentity", "ResumeTokens", "Resumption", "resumption"]

_COMPRESSED_FROM_BYTES = 256
_SALT = "pode.signals.v1 resume"
# A token's content is lines: no name, id or label has a control character.
_FORM = "3"
# What zlib writes begins with "x" (RFC 1950 section 2.2).
_ZLIB = b"x"
# Whole groups of four: no padding, and no spare bits, so that a token has one text alone (RFC 4648 section 3.5).
_TOKEN = re.compile("(?:[A-Za-z0-9_-]{4})+")
_FILLER = b"  "
_SIGNATURE_BYTES = 32


class ResumeIdentity(NamedTuple):
    """Who a client was, as its token says.

    Attributes:
        expires_at: when the token is no longer good: whole seconds since 1970.
        name: the name of the connection.
        client_id: the client id as it was issued: with its signature where signing is on.
        user: the label that ``convert(user=…)`` gave; None where it gave none.
        joined_groups: the groups that the connection has joined after ``convert``.
        generation: the generation of the hub's versions (:class:`~.client_versions.ClientVersions`).
        version: the version that was given last when the token was made.
        connection: the id of the connection, which messages that come by POST are for.
        node: the name of the node that the connection is on.
    """

    expires_at: int
    name: str
    client_id: str
    user: str | None
    joined_groups: tuple[str, ...]
    generation: str
    version: int
    connection: str
    node: str

    def __repr__(self) -> str:
        shown = self._replace(client_id=bare_client_id(self.client_id))
        return f"ResumeIdentity({', '.join(f'{key}={value!r}' for key, value in shown._asdict().items())})"


class ResumeTokens:
    """Makes and reads the tokens of one hub, or of all hubs of one application.

    Args:
        secrets: the first secret signs, and all of them verify, so that tokens stay good while a secret is changed.
            Texts are taken as UTF-8. A secret never signs as it is: a key is derived from it, by HMAC with a salt of
            tokens and of the hub.
        hub: the name of the hub or the application. Tokens of another one do not verify, even with the same secrets.

    Raises:
        ValueError: there is no secret, or a secret is empty.
        TypeError: a secret is neither ``str`` nor ``bytes``.
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[str | bytes], hub: str) -> None:
        salt = f"{_SALT} {hub}".encode()
        self._keys = tuple(hmac.digest(secret, salt, "sha256") for secret in secret_bytes(secrets))

    def make(self, identity: ResumeIdentity) -> str | None:
        """Make a token.

        Args:
            identity: what the token says. Its texts have passed :func:`~.names.check_name`.

        Returns:
            The token; None where it would be longer than 2,048 characters. Such a client comes back by its position
            alone.
        """
        content = _content(identity)
        token = urlsafe_b64encode(hmac.digest(self._keys[0], content, "sha256") + content)
        return token.decode("ascii") if len(token) <= MAX_TOKEN_CHARACTERS else None

    def read(self, token: str) -> ResumeIdentity | None:
        """Read a token, without a look at the time.

        Args:
            token: any text.

        Returns:
            What the token says; None where it was not made by :meth:`make` with one of the secrets.
        """
        # Whoever knows a secret can make a token that inflates to much. The bound on its length keeps that small: data
        # inflates to about a thousand times its size at most. Nothing is inflated before the signature is checked.
        if len(token) > MAX_TOKEN_CHARACTERS or not _TOKEN.fullmatch(token):
            return None
        data = urlsafe_b64decode(token)
        signature, content = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        for key in self._keys:
            if hmac.compare_digest(hmac.digest(key, content, "sha256"), signature):
                return _identity(content.lstrip(_FILLER))
        return None


def _content(identity: ResumeIdentity) -> bytes:
    expires_at, name, client_id, user, groups, generation, version, connection, node = identity
    # No label and an empty one are told apart.
    label = "" if user is None else f"={user}"
    content = "\n".join(
        (_FORM, str(expires_at), name, client_id, label, generation, str(version), connection, node, *groups)
    ).encode()
    if len(content) > _COMPRESSED_FROM_BYTES:
        content = zlib.compress(content)
    return _FILLER[: -(_SIGNATURE_BYTES + len(content)) % 3] + content


def _identity(content: bytes) -> ResumeIdentity | None:
    """What a content says whose signature holds; None where it is none of :func:`_content`."""
    try:
        text = (zlib.decompress(content) if content.startswith(_ZLIB) else content).decode()
        form, expires_at, name, client_id, label, generation, version, connection, node, *groups = text.split("\n")
        if form != _FORM:
            return None
        user = label[1:] if label else None
        return ResumeIdentity(
            int(expires_at), name, client_id, user, tuple(groups), generation, int(version), connection, node
        )
    except (ValueError, zlib.error):
        return None


class PassedOver(StrEnum):
    """Why a token does not count."""

    FORGED = "forged"
    """It is malformed, was changed, or was signed for another hub or with a secret that is no longer known."""
    EXPIRED = "expired"
    OTHER_NAME = "other_name"
    """It is for another name than the connection's."""
    OTHER_USER = "other_user"
    """It is for another user than ``convert`` gave."""
    LOCAL = "local"
    """The connection is local, and so ends with its route."""
    OTHER_CLIENT_ID = "other_client_id"
    """``convert`` gave another client id."""
    CLIENT_ID_INVALID = "client_id_invalid"
    """The signature of its client id does not verify for this request."""


class Conversion(NamedTuple):
    """The arguments of ``convert`` for the connection that a token is offered to.

    Attributes:
        name: the name.
        user: the label of the user; None where ``convert`` gave none.
        client_id: the client id, with a signature or without; None where ``convert`` gave none.
        scope: the scope.
    """

    name: str
    user: str | None
    client_id: str | None
    scope: Scope

    def __repr__(self) -> str:
        return f"Conversion(name={self.name!r}, user={self.user!r}, scope={self.scope!r})"


class Resumption(NamedTuple):
    """What an offer to resume comes to, as far as the client's identity goes.

    Attributes:
        identity: what the token says that counts. The connection gets its client id where ``convert`` gave none, and
            replaces an older connection that has this id, even where duplicates are refused: it is the same client.
            None where no token counts.
        groups: the joined groups that come back: all of them, or none.
        is_whole: whether the client is again who it was: each token that was offered counts, and all joined groups are
            back. A client that offers a position alone is nobody in particular, and is whole.
        passed_over: why the token that was offered does not count; None where it counts, and where none was offered.
    """

    identity: ResumeIdentity | None
    groups: tuple[str, ...]
    is_whole: bool
    passed_over: PassedOver | None


NO_TOKEN = Resumption(identity=None, groups=(), is_whole=True, passed_over=None)
"""What an offer without a token comes to."""


def resumption(
    identity: ResumeIdentity | None,
    conversion: Conversion,
    *,
    is_valid: Callable[[str], bool],
    groups_hold: bool,
    now: float,
) -> Resumption:
    """What a token comes to that was offered to a connection.

    Args:
        identity: what the token says; None where :meth:`ResumeTokens.read` could not read the token.
        conversion: what ``convert`` says of the connection.
        is_valid: whether a client id, as it was issued, is valid for this request. With strict signing it is not where
            the client has another address.
        groups_hold: whether the client id has left none of the token's groups
            (:meth:`~.client_versions.ClientVersions.hold`). False where nobody could tell in time.
        now: the time in seconds since 1970.
    """
    if identity is None:
        return _passed_over(PassedOver.FORGED)
    why = _why_passed_over(identity, conversion, is_valid, now)
    if why is not None:
        return _passed_over(why)
    groups = identity.joined_groups if groups_hold else ()
    return Resumption(identity, groups, is_whole=groups == identity.joined_groups, passed_over=None)


def _passed_over(why: PassedOver) -> Resumption:
    return Resumption(identity=None, groups=(), is_whole=False, passed_over=why)


def _why_passed_over(
    identity: ResumeIdentity, conversion: Conversion, is_valid: Callable[[str], bool], now: float
) -> PassedOver | None:
    if now >= identity.expires_at:
        return PassedOver.EXPIRED
    if identity.name != conversion.name:
        return PassedOver.OTHER_NAME
    if identity.user != conversion.user:
        return PassedOver.OTHER_USER
    if conversion.scope is not Scope.GLOBAL:
        return PassedOver.LOCAL
    # Without signatures, since an id that was issued before the secret was changed has another signature than the same
    # id has now.
    if conversion.client_id is not None and bare_client_id(conversion.client_id) != bare_client_id(identity.client_id):
        return PassedOver.OTHER_CLIENT_ID
    if not is_valid(identity.client_id):
        return PassedOver.CLIENT_ID_INVALID
    return None
