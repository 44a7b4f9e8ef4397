r"""What nodes send each other, with the proof that it is theirs. It reads no clock, and never shows a key.

    1{"kind":"live","names":["Room"],"from":"f3a0…","id":17,"at":1790003600000,…}\n<payload><HMAC-SHA256>

The proof covers every byte before it, and the application's name by way of the key. Nothing is parsed before it holds.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from .model import Target
from .signing import secret_bytes

__all__ = ["MOST_ENVELOPE_BYTES", "Envelope", "Envelopes", "Unopened"]

MOST_ENVELOPE_BYTES = 67_108_864
"""Larger ones are not even verified."""
_VERSION = b"1"
_MAC_BYTES = 32
_SALT = "pode.signals nodes"
_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_DECODE = json.JSONDecoder().decode


class Unopened(StrEnum):
    """Why an envelope is not delivered."""

    MALFORMED = "malformed"
    VERSION = "version"
    """It is of another version of this package."""
    FORGED = "forged"
    """No key of this application verifies it."""
    MISPLACED = "misplaced"
    """It is not for the channel or the log that it came by."""
    REPLAYED = "replayed"
    """It has come before, or it is older than a minute."""


@frozen
class Envelope:
    """What one node sends to others.

    Attributes:
        kind: a word: ``log`` for an entry of a log, ``live`` for a send to a name that keeps none, ``ask``,
            ``answer``.
        sender: the name of the node.
        number: counts up by 1 for each envelope of the sender.
        at_ms: when it was sent: milliseconds since 1970 by the clock of Redis.
        target: the connections; without names it is for all of them, and for envelopes between nodes nobody.
        payload: the content.
        is_text: whether the content is a text.
        key: as in a message; None for none.
        acknowledgement: as in a message; None for none.
        more: what else the kind has to say, as JSON.
    """

    kind: str
    sender: str
    number: int
    at_ms: int
    target: Target
    payload: bytes = field(default=b"", repr=False)
    is_text: bool = False
    key: str | None = None
    acknowledgement: str | None = None
    more: Any = None

    @property
    def id(self) -> str:
        """The name of the envelope, ``<sender>.<number>``, which no other one has."""
        return f"{self.sender}.{self.number}"


class Envelopes:
    """Seals and opens the envelopes of one application.

    Args:
        keys: the first one seals, and all of them open, so that nodes understand each other while a key is changed.
            Texts are taken as UTF-8. A key is never used as it is: another one is derived from it.
        application: the name of the application.

    Raises:
        ValueError: there is no key, or a key is empty.
        TypeError: a key is neither ``str`` nor ``bytes``.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[str | bytes], application: str) -> None:
        salt = f"{_SALT} {application}".encode()
        self._keys = tuple(hmac.digest(key, salt, "sha256") for key in secret_bytes(keys))

    def __repr__(self) -> str:
        return f"<Envelopes with {len(self._keys)} key(s)>"

    def sealed(self, envelope: Envelope) -> bytes:
        """An envelope as bytes."""
        content = b"%b%b\n%b" % (_VERSION, _header(envelope).encode("utf-8", "surrogatepass"), envelope.payload)
        return content + hmac.digest(self._keys[0], content, "sha256")

    def opened(self, data: bytes) -> Envelope | Unopened:
        """Verify and read an envelope."""
        if not _MAC_BYTES + 2 <= len(data) <= MOST_ENVELOPE_BYTES:
            return Unopened.MALFORMED
        if data[:1] != _VERSION:
            return Unopened.VERSION
        content, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not any(hmac.compare_digest(hmac.digest(key, content, "sha256"), mac) for key in self._keys):
            return Unopened.FORGED
        header, _, payload = content[1:].partition(b"\n")
        try:
            return _read(_DECODE(header.decode("utf-8", "surrogatepass")), payload)
        except (ValueError, TypeError, KeyError, RecursionError):
            return Unopened.MALFORMED


def _header(envelope: Envelope) -> str:
    """What goes before the payload, as JSON.

    An encoder takes longer for a dict than all else takes that a send is sealed with. So what every envelope has is
    written out here, and the encoder writes texts, and what few envelopes have.
    """
    kind, sender = _ENCODE(envelope.kind), _ENCODE(envelope.sender)
    return f'{{"kind":{kind},"from":{sender},"id":{envelope.number},"at":{envelope.at_ms}{_rest(envelope)}}}'


def _rest(envelope: Envelope) -> str:
    target = envelope.target
    names, has_more = target.names, not (envelope.key is envelope.acknowledgement is envelope.more is None)
    if names is not None and len(names) == 1 and target.is_everybody and not has_more:
        text = ',"text":true' if envelope.is_text else ""
        return f',"names":[{_ENCODE(names[0])}]{text}'
    fields: dict[str, Any] = {
        "names": names,
        "groups": target.groups or None,
        "clientIds": target.client_ids or None,
        "exclude": target.exclude or None,
        "key": envelope.key,
        "ack": envelope.acknowledgement,
        "more": envelope.more,
        "text": envelope.is_text or None,
    }
    found = {key: value for key, value in fields.items() if value is not None}
    return f",{_ENCODE(found)[1:-1]}" if found else ""


def _read(header: Any, payload: bytes) -> Envelope:
    """The envelope of a header that was verified; a node of this version has written it, or of one close to it."""
    if type(header) is not dict:
        raise TypeError
    names = header.get("names")
    return Envelope(
        kind=_of(str, header["kind"]),
        sender=_of(str, header["from"]),
        number=_of(int, header["id"]),
        at_ms=_of(int, header["at"]),
        target=Target(
            None if names is None else _texts(names),
            _texts(header.get("groups", ())),
            _texts(header.get("clientIds", ())),
            _texts(header.get("exclude", ())),
        ),
        payload=payload,
        is_text=_of(bool, header.get("text", False)),
        key=None if header.get("key") is None else _of(str, header["key"]),
        acknowledgement=None if header.get("ack") is None else _of(str, header["ack"]),
        more=header.get("more"),
    )


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if type(values) not in (list, tuple) or not {str}.issuperset(map(type, values)):
        raise TypeError
    return tuple(values)
