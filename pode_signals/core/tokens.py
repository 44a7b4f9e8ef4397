"""Tokens of those who operate a service: their text, what a file keeps of them, and what they may. It reads no clock.

A file keeps the hash alone. A slow hash would only make requests slow: there are 256 random bits to guess.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeGuard

from attrs import field, frozen

from ..errors import ConfigurationInvalid
from .nearest import unknown
from .text import printable

__all__ = [
    "RANDOM_BYTES",
    "SCOPES",
    "NewToken",
    "Token",
    "TokenExpired",
    "TokenUnknown",
    "Tokens",
    "looks_like_token",
    "new_token",
]

SCOPES = ("read", "metrics", "send", "close", "watch", "jobs", "all")
"""What a token may allow: to read, to scrape the metrics, to send, to close, to see messages, to run jobs; or all."""
RANDOM_BYTES = 40
"""How many random bytes a new token needs."""

_ALL = "all"
_ID_BYTES = 8
_ID_CHARACTERS = 12
_TEXT = re.compile(r"(pst_[a-z2-7]{12})_([A-Za-z0-9_-]{43})")
_ID = re.compile(r"pst_[a-z2-7]{12}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
# The prefix lets programs that look for secrets find a token.
_PREFIX = "pst_"
_IN_TEXT = re.compile(r"pst_[a-z2-7]{12}_")
_KEYS = ("label", "hash", "scopes", "names", "expires")
_MOST_LABEL_CHARACTERS = 100
# No token has this hash, so a token with an unknown id takes as long as one with a known id.
_NOBODY = bytes(32)


class TokenUnknown(Exception):
    """No token has this text."""


class TokenExpired(Exception):
    """The token was good, and its time is over."""


@frozen
class Token:
    """What is known of one token.

    Attributes:
        id: the part of its text that everybody may see.
        label: whose it is.
        digest: the hash of its text.
        scopes: what it allows.
        names: names of connections that it is for, each exact or a beginning with ``*`` behind; None is every name.
        expires: when its time is over; None is never.
    """

    id: str
    label: str
    digest: bytes = field(repr=False)
    scopes: frozenset[str]
    names: tuple[str, ...] | None = None
    expires: datetime | None = None

    def allows(self, scope: str) -> bool:
        """Whether it allows what a scope stands for."""
        return scope in self.scopes or _ALL in self.scopes

    def allows_name(self, name: str) -> bool:
        """Whether it is for a name."""
        return self.names is None or any(
            name.startswith(each[:-1]) if each.endswith("*") else name == each for each in self.names
        )


@frozen
class NewToken:
    """A token that was just made.

    Attributes:
        text: the token itself, which is kept nowhere: show it once.
        block: the lines for the file of tokens, without the text.
    """

    text: str = field(repr=False)
    block: str


class Tokens:
    """The tokens of a file.

    Args:
        tokens: the tokens.
    """

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._by_id = {each.id: each for each in tokens}

    def __len__(self) -> int:
        return len(self._by_id)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Tokens:
        """Read the tokens of a file.

        Args:
            values: the tables of the file by the ids of the tokens.

        Raises:
            ConfigurationInvalid: a mistake in the file; the sentence names the token by its id, and has no hash.
        """
        return cls([_read(name, table) for name, table in values.items()])

    def find(self, text: str, now: datetime) -> Token:
        """The token with a text. What a wrong text is compared with does not tell how much of the text is right.

        Args:
            text: what a client has shown.
            now: the time (aware).

        Raises:
            TokenUnknown: there is none.
            TokenExpired: its time is over.
        """
        match = _TEXT.fullmatch(text)
        token = None if match is None else self._by_id.get(match[1])
        is_good = hmac.compare_digest(_digest(text), _NOBODY if token is None else token.digest)
        if token is None or not is_good:
            raise TokenUnknown
        if token.expires is not None and token.expires <= now:
            raise TokenExpired
        return token


def looks_like_token(text: str) -> bool:
    """Whether a token, or most of one, is in a text: such a text must not stand where others read it."""
    return _IN_TEXT.search(text) is not None


def new_token(
    random: bytes,
    *,
    label: str,
    scopes: Collection[str],
    names: Collection[str] | None = None,
    expires: datetime | None = None,
) -> NewToken:
    """Make a token.

    Args:
        random: :data:`RANDOM_BYTES` random bytes.
        label: whose it is.
        scopes: what it allows.
        names: names of connections that it is for; None is every name.
        expires: when its time is over (aware); None is never.

    Raises:
        ConfigurationInvalid: what a file of tokens could not have.
    """
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a token takes {RANDOM_BYTES} random bytes, not {len(random)}")
    token_id = _PREFIX + b32encode(random[:_ID_BYTES]).decode("ascii").lower()[:_ID_CHARACTERS]
    secret = urlsafe_b64encode(random[_ID_BYTES:]).decode("ascii").rstrip("=")
    text = f"{token_id}_{secret}"
    values: dict[str, Any] = {"label": label, "hash": f"sha256:{_digest(text).hex()}", "scopes": list(scopes)}
    if names is not None:
        values["names"] = list(names)
    if expires is not None:
        values["expires"] = expires
    # What is made here is read by the same rules at the next start.
    _read(token_id, values)
    lines = [f"[{token_id}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return NewToken(text, "\n".join(lines) + "\n")


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _read(name: str, table: Any) -> Token:
    shown = printable(name)
    if _ID.fullmatch(name) is None:
        # A whole token in place of its id is a secret, and is not repeated.
        what = "a section" if looks_like_token(name) else f"the section [{shown}]"
        raise ConfigurationInvalid(f"{what} is not called by the id of a token, as [pst_4kzq2m7ahd3x]")
    if not isinstance(table, Mapping):
        raise ConfigurationInvalid(f"{shown} has to be a section: [{shown}]")
    for key in table:
        if key not in _KEYS:
            raise ConfigurationInvalid(f"{shown}: {unknown('key', printable(key), _KEYS)}")
    return Token(
        name,
        _label(shown, table.get("label")),
        _hash(shown, table.get("hash")),
        _scopes(shown, table.get("scopes")),
        _names(shown, table.get("names")),
        _expires(shown, table.get("expires")),
    )


def _label(token_id: str, value: object) -> str:
    # The label stands in lines of the log.
    is_good = isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= _MOST_LABEL_CHARACTERS
    if not is_good:
        raise ConfigurationInvalid(
            f"{token_id}: label has to be a text of at most {_MOST_LABEL_CHARACTERS} printable characters"
        )
    return str(value)


def _hash(token_id: str, value: object) -> bytes:
    match = _HASH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ConfigurationInvalid(f"{token_id}: hash has to be sha256: and 64 hexadecimal digits in lower case")
    return bytes.fromhex(match[1])


def _scopes(token_id: str, value: object) -> frozenset[str]:
    if not _is_list_of_texts(value) or not value:
        raise ConfigurationInvalid(f"{token_id}: scopes has to be a list of some of {', '.join(SCOPES)}")
    for each in value:
        if each not in SCOPES:
            raise ConfigurationInvalid(f"{token_id}: {unknown('scope', printable(each), SCOPES)}")
    return frozenset(value)


def _names(token_id: str, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    # A * elsewhere would look like a pattern and be none.
    if not _is_list_of_texts(value) or not value or any(not each or "*" in each[:-1] for each in value):
        raise ConfigurationInvalid(f"{token_id}: names has to be a list of names, each exact or with one * at its end")
    return tuple(value)


def _expires(token_id: str, value: object) -> datetime | None:
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    raise ConfigurationInvalid(f"{token_id}: expires has to be a time with its zone, as 2027-06-30T00:00:00Z")


def _is_list_of_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _toml(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # A text of JSON is one of TOML as well, but for this one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
