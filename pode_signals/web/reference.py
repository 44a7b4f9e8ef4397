"""Finds the open connection that a request's X-PODE-SIGNAL-CLIENT-ID refers to. It refuses all bad ones alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.model import Target
from ..core.names import from_header_value
from ..core.request_head import RequestHead
from ..core.request_record import header_text
from ..errors import ClientIdRefused, NameInvalid

if TYPE_CHECKING:
    from ..hub.hub import Hub
    from ..hub.link import Link

__all__ = ["referenced_link"]

# White space in HTTP (RFC 9110 section 5.6.3). Python's strip() alone takes off more, and would read "known\x0b" as
# "known".
_SPACE = " \t"


def referenced_link(hub: Hub, head: RequestHead) -> Link | None:
    """The connection that the headers of a request refer to.

    Returns:
        The one open global connection that fits; None where the request has no X-PODE-SIGNAL-CLIENT-ID.

    Raises:
        ClientIdRefused: the id is forged, unknown or ambiguous. The error is the same for all three, so that a client
            can't find out which ids exist.
    """
    values = head.lines(b"x-pode-signal-client-id")
    if not values:
        return None
    try:
        client_id = from_header_value(header_text(values[0]).strip(_SPACE))
        names, groups = _listed(head, b"x-pode-signal-name"), _listed(head, b"x-pode-signal-group")
    except NameInvalid:
        # The percent-encoded bytes are not UTF-8.
        raise ClientIdRefused from None
    if len(values) > 1 or not hub.identities.is_valid(client_id, head.caller):
        raise ClientIdRefused
    found = hub.registry.select(Target(names or None, groups, (client_id,)))
    if len(found) != 1:
        raise ClientIdRefused
    return found[0]


def _listed(head: RequestHead, header: bytes) -> tuple[str, ...]:
    lines = [header_text(value) for value in head.lines(header)]
    listed = (each.strip(_SPACE) for line in lines for each in line.split(","))
    return tuple(from_header_value(each) for each in listed if each)
