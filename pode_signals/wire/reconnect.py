"""Which ends of a connection bring a client of ``pode.signals.v1`` back. It knows no connection and no time."""

from __future__ import annotations

from enum import Enum
from typing import Self

from .frames import CloseCode

__all__ = ["ComesBack", "comes_back"]


class ComesBack(Enum):
    """Whether and when a client connects again after its connection has ended.

    Attributes:
        meaning: the same in a sentence.
    """

    meaning: str

    YES = "yes", "After the usual backoff."
    LATER = "later", "After the backoff, which has grown: the client did something that the server does not take."
    WHEN_SHOWN = "when shown", "When the page that has closed the connection is shown or goes on again."
    ONCE_WITH_CREDENTIALS = (
        "once with credentials",
        "Once, if the client can renew its credentials. A second such end, before a connection was open for 60 seconds,"
        " is final.",
    )
    ONCE = (
        "once",
        "Once, after a random time of up to 5 seconds. A second such end within 60 seconds is final, or two pages with"
        " one client id would take each other's place for ever.",
    )
    NO = "no", "Not again: the connection was closed on purpose."
    CLIENT_IS_WRONG = (
        "client is wrong",
        "Not again: the client would do wrong once more. Its application is told of an error.",
    )

    def __new__(cls, value: str, meaning: str) -> Self:
        """A member, which has the sentence beside its value."""
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member


def comes_back(code: int) -> ComesBack:
    """Whether a client comes back.

    Args:
        code: the close code (RFC 6455 section 7.4); 1006 where the connection was lost without a close frame.
    """
    if code in _RULES:
        return _RULES[code]
    # Codes of applications: 3000 to 3499 mean "come back", 3500 to 4999 "stay away". Any other code is one that a later
    # standard has added, and a client that stays away would be wrong more often than one that comes back.
    return ComesBack.NO if 3500 <= code <= 4999 else ComesBack.YES


_RULES: dict[int, ComesBack] = {
    CloseCode.NORMAL: ComesBack.NO,
    CloseCode.PROTOCOL_ERROR: ComesBack.CLIENT_IS_WRONG,
    CloseCode.UNSUPPORTED_DATA: ComesBack.CLIENT_IS_WRONG,
    CloseCode.INVALID_PAYLOAD: ComesBack.CLIENT_IS_WRONG,
    CloseCode.TOO_BIG: ComesBack.CLIENT_IS_WRONG,
    CloseCode.MANDATORY_EXTENSION: ComesBack.NO,
    CloseCode.POLICY_VIOLATION: ComesBack.LATER,
    CloseCode.PAGE_FROZEN: ComesBack.WHEN_SHOWN,
    CloseCode.SLOW_CLIENT: ComesBack.YES,
    CloseCode.EXPIRED: ComesBack.ONCE_WITH_CREDENTIALS,
    CloseCode.REPLACED: ComesBack.ONCE,
}
