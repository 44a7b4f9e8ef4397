"""What ``convert`` says of a client beside its identity: whose it is, what others see, until when it is good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import define

from ..core.names import check_name
from ..wire.json import encode_value

__all__ = ["MAX_INFO_BYTES", "Profile", "checked_info", "profile_of"]

MAX_INFO_BYTES = 1_024
"""How large ``info`` may be, as JSON."""


@define
class Profile:
    """The user of a connection.

    Attributes:
        user: a label of the login, which several connections may share; None is none.
        info: a JSON value that presence shows to others; None is none.
        expires: when the connection has to be renewed (aware); None is never.
    """

    user: str | None = None
    info: Any = None
    expires: datetime | None = None


def profile_of(user: str | None, info: object, expires: datetime | None) -> Profile | None:
    """Check what ``convert`` says; None where it says nothing.

    Raises:
        TypeError: ``user`` is no text, ``expires`` is no ``datetime``, or ``info`` has no JSON form.
        ValueError: ``user`` can't be a label, ``expires`` has no time zone, or ``info`` is over 1,024 bytes.
    """
    if user is None and info is None and expires is None:
        return None
    if user is not None:
        check_name("user", user)
    return Profile(user, checked_info(info), None if expires is None else checked_expiry(expires))


def checked_info(info: object) -> Any:
    """Check what other clients are shown of a connection.

    Raises:
        TypeError, ValueError: as for :func:`profile_of`.
    """
    if info is not None and (size := len(encode_value(info))) > MAX_INFO_BYTES:
        raise ValueError(f"info has {size} bytes as JSON, and may have {MAX_INFO_BYTES}")
    return info


def checked_expiry(expires: object) -> datetime:
    """Check an expiry.

    Raises:
        TypeError: it is no ``datetime``.
        ValueError: it has no time zone.
    """
    if not isinstance(expires, datetime):
        raise TypeError(f"expires has to be a datetime, not {type(expires).__name__}")
    if expires.utcoffset() is None:
        raise ValueError("expires has to be aware: give it a time zone, such as datetime.now(UTC) + timedelta(hours=1)")
    # In UTC, so that no time zone of the program is asked again each second.
    try:
        return expires.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expires is beyond all times: {expires}") from None
