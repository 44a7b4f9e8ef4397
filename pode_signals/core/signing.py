"""Signs and checks client ids, as Pode does. It never makes an id, and never shows a secret."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence

from attrs import frozen

__all__ = ["STRONG_SECRET_BYTES", "Caller", "Signer", "bare_client_id", "is_signed", "secret_bytes"]

STRONG_SECRET_BYTES = 32
"""A secret with fewer bytes than the digest of SHA-256 is weak (RFC 2104 section 3)."""

_PREFIX = "s:"


@frozen
class Caller:
    """The client that an id is bound to in strict mode.

    Attributes:
        user_agent: the User-Agent header; ``""`` where there is none.
        address: the client's address, in the spelling of :func:`~.addresses.plain_address`; ``""`` for a client without
            an address. Such clients can't be told apart, so in strict mode no id is valid that one of them shows.
    """

    user_agent: str
    address: str


def is_signed(client_id: str) -> bool:
    """Whether an id has the form ``s:<id>.<signature>``, with a valid signature or not."""
    bare, dot, signature = client_id.rpartition(".")
    return bool(dot) and bool(signature) and bare.startswith(_PREFIX) and len(bare) > len(_PREFIX)


def bare_client_id(client_id: str) -> str:
    """The id without prefix and signature; an id that is not signed is returned unchanged.

    An id may have dots and a signature has none, so the id ends at the last dot.
    """
    return client_id.rpartition(".")[0][len(_PREFIX) :] if is_signed(client_id) else client_id


def secret_bytes(secrets: Sequence[str | bytes]) -> tuple[bytes, ...]:
    """Secrets as bytes, in their order. Texts are taken as UTF-8.

    Raises:
        ValueError: there is no secret, or a secret is empty.
        TypeError: a secret is neither ``str`` nor ``bytes``.
    """
    # A single text is a sequence of texts as well, and its letters must not become the secrets.
    several = (secrets,) if isinstance(secrets, (str, bytes)) else secrets
    found = tuple(map(_secret, several))
    if not found:
        raise ValueError("signing needs a secret")
    if not all(found):
        raise ValueError("a secret is empty")
    return found


class Signer:
    """Signs and checks client ids.

    Args:
        secrets: the first secret signs, and all of them verify, so that ids stay valid while a secret is changed.
            Texts are taken as UTF-8.
        strict: whether each id is bound to the User-Agent and the address of its client, as with Pode's ``-Strict``.

    Raises:
        ValueError: there is no secret, or a secret is empty.
        TypeError: a secret is neither ``str`` nor ``bytes``.

    Attributes:
        strict: whether ids are bound to their client.
        weak: whether a secret is shorter than 32 bytes.
    """

    __slots__ = ("_secrets", "strict", "weak")

    def __init__(self, secrets: Sequence[str | bytes], *, strict: bool = False) -> None:
        self._secrets = secret_bytes(secrets)
        self.strict = strict
        self.weak = any(len(secret) < STRONG_SECRET_BYTES for secret in self._secrets)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets, for other signatures than those of ids. Each has to derive a key of its own from them."""
        return self._secrets

    def __repr__(self) -> str:
        return f"<Signer with {len(self._secrets)} secret(s), {'strict' if self.strict else 'not strict'}>"

    def sign(self, client_id: str, caller: Caller | None) -> str:
        """Sign a bare id.

        Args:
            client_id: the id, without prefix and signature.
            caller: the client that gets the id; used in strict mode only.

        Returns:
            ``s:<id>.<signature>``, the signature being base64 of HMAC-SHA256.

        Raises:
            ValueError: strict mode without a caller.
        """
        signature = self._signature(self._secrets[0], client_id, caller).decode("ascii")
        return f"{_PREFIX}{client_id}.{signature}"

    def verify(self, signed: str, caller: Caller | None) -> bool:
        """Whether an id was signed with one of the secrets (and for this caller, in strict mode).

        The check of a bad signature takes as long as that of a good one. No content of an id makes this method raise.

        Args:
            signed: the id as the client gave it.
            caller: the client that gave the id; used in strict mode only.

        Raises:
            ValueError: strict mode without a caller.
        """
        client_id = bare_client_id(signed)
        # The texts are compared, and not the bytes that they encode: several texts of base64 encode the same bytes.
        given = _bytes(signed.rpartition(".")[2])
        matches = [hmac.compare_digest(self._signature(secret, client_id, caller), given) for secret in self._secrets]
        told_apart = not self.strict or (caller is not None and caller.address != "")
        return is_signed(signed) and any(matches) and told_apart

    def _signature(self, secret: bytes, client_id: str, caller: Caller | None) -> bytes:
        if self.strict:
            if caller is None:
                raise ValueError("strict signing needs a request or a current event")
            secret = b";".join([secret, _bytes(caller.user_agent), _bytes(caller.address)])
        return b64encode(hmac.digest(secret, _bytes(client_id), "sha256"))


def _secret(secret: str | bytes) -> bytes:
    if not isinstance(secret, (str, bytes)):
        raise TypeError(f"a secret has to be str or bytes, not {type(secret).__name__}")
    return _bytes(secret) if isinstance(secret, str) else secret


def _bytes(text: str) -> bytes:
    # Surrogates pass: an id with one is not valid, and must not make verify raise.
    return text.encode("utf-8", "surrogatepass")
