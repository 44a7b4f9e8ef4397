"""Requests that refer to an open connection by X-PODE-SIGNAL-CLIENT-ID: finding it, or refusing, always alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.model import Target
from ..core.names import from_header_value
from ..core.request_record import header_text
from ..errors import ClientIdRefused, NameInvalid

if TYPE_CHECKING:
    from twisted.web.http import Request

    from ..hub.hub import Hub
    from ..hub.link import Link

__all__ = ["referenced_link"]

_SPACE = " \t"  # of HTTP (RFC 9110 section 5.6.3); Python knows more, and would take "known\x0b" for "known"


def referenced_link(hub: Hub, request: Request) -> Link | None:
    """The connection that a request's headers refer to.

    Returns:
        The one open global connection that fits; None where there is no X-PODE-SIGNAL-CLIENT-ID.

    Raises:
        ClientIdRefused: forged, unknown or ambiguous: the same for all, so that ids can't be probed.
    """
    values = request.requestHeaders.getRawHeaders(b"x-pode-signal-client-id", [])
    if not values:
        return None
    try:
        client_id = from_header_value(header_text(values[0]).strip(_SPACE))
        names, groups = _listed(request, b"x-pode-signal-name"), _listed(request, b"x-pode-signal-group")
    except NameInvalid:  # percent-encoded, and no UTF-8
        raise ClientIdRefused from None
    if len(values) > 1 or not hub.identities.is_client_id_valid(client_id, request):
        raise ClientIdRefused
    found = hub.registry.select(Target(names or None, groups, (client_id,)))
    if len(found) != 1:
        raise ClientIdRefused
    return found[0]


def _listed(request: Request, header: bytes) -> tuple[str, ...]:
    lines = [header_text(value) for value in request.requestHeaders.getRawHeaders(header, [])]
    listed = (each.strip(_SPACE) for line in lines for each in line.split(","))
    return tuple(from_header_value(each) for each in listed if each)
