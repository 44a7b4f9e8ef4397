"""Whether and when a client connects again. It knows no connection, and is given the time and the chance."""

from __future__ import annotations

from random import Random
from typing import Final

from attrs import frozen

from ..wire.reconnect import ComesBack, comes_back

__all__ = ["Comebacks", "End"]

# A connection that was open for so long was a good one, and the backoff begins anew.
_GOOD_AFTER_SECONDS: Final = 10.0
_REPLACED_WITHIN_SECONDS: Final = 5.0
_REPLACED_TWICE_SECONDS: Final = 60.0
_REFRESHED_AFTER_SECONDS: Final = 60.0
_STATUSES_TO_STOP: Final = frozenset({401, 403, 404, 410})
_STATUSES_TO_WAIT: Final = frozenset({409, 429, 503})
# 2 to the power of more failures is over any cap, and would be no float in the end.
_MOST_DOUBLINGS: Final = 30


@frozen
class End:
    """How a connection ended, or an attempt failed.

    Attributes:
        code: the close code; 1006 where there was no close frame.
        reason: what is known besides, for people.
        status: the HTTP status by which the server refused the handshake; None where it did not.
        retry_after_seconds: how long the server asked to wait (RFC 9110 section 10.2.3).
        client_is_wrong: whether the server does not take what the client does, so that the backoff grows.
    """

    code: int
    reason: str = ""
    status: int | None = None
    retry_after_seconds: float = 0.0
    client_is_wrong: bool = False


class Comebacks:
    """Decides for one client.

    The waits have full jitter: any time from 0 to a bound that doubles with each failure. Clients that were cut off
    together so come back spread over the whole time.

    Args:
        base_seconds: the bound of the first wait.
        cap_seconds: the bound of every wait.
        can_renew: whether the client can get other credentials for its next attempt.
        random: where the waits are drawn from.
    """

    def __init__(self, base_seconds: float, cap_seconds: float, can_renew: bool, random: Random) -> None:
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._can_renew = can_renew
        self._random = random
        self._failures = 0
        # Whether the credentials expired, and no connection was open for long since then.
        self._has_expired = False
        self._replaced_at: float | None = None

    def seconds_after(self, end: End, opened_at: float | None, now: float) -> float | None:
        """How long the client waits after an end; None is for ever.

        Args:
            end: the end.
            opened_at: when the connection had its hello; None where it had none.
            now: the time.
        """
        open_seconds = 0.0 if opened_at is None else now - opened_at
        rule = comes_back(end.code)
        if end.status in _STATUSES_TO_STOP or rule in (ComesBack.NO, ComesBack.CLIENT_IS_WRONG):
            return None
        if open_seconds >= _REFRESHED_AFTER_SECONDS:
            self._has_expired = False
        match rule:
            case ComesBack.ONCE_WITH_CREDENTIALS:
                if self._has_expired or not self._can_renew:
                    return None
                self._has_expired = True
            case ComesBack.ONCE:
                before, self._replaced_at = self._replaced_at, now
                if before is not None and now - before <= _REPLACED_TWICE_SECONDS:
                    return None
                return self._random.uniform(0, _REPLACED_WITHIN_SECONDS)
        if rule is ComesBack.LATER or end.client_is_wrong:
            self._failures += 1
        elif open_seconds >= _GOOD_AFTER_SECONDS:
            self._failures = 0
        bound = min(self._cap_seconds, self._base_seconds * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        # The draw comes on top, or all clients that got one Retry-After would be back in the same second.
        least = end.retry_after_seconds if end.status in _STATUSES_TO_WAIT else 0.0
        return least + self._random.uniform(0, bound)
