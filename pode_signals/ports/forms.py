"""The fields of a submitted form, urlencoded or multipart, read within bounds. It reads from no connection.

Twisted reads forms with parsers whose time grows with the square of the size. The time of the parsers here grows with
the size alone, and is bounded by the number of fields and by the size of the parts' heads.
"""

from __future__ import annotations

import re

from twisted.web.http import parse_qs
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, Preamble, State

__all__ = [
    "MAX_FIELDS",
    "MAX_HEAD_BYTES",
    "URLENCODED",
    "FormMalformed",
    "FormTooLarge",
    "form_fields",
    "is_form",
    "media_type",
]

MAX_FIELDS = 1_000
"""How many fields, or parts, a form may have."""
MAX_HEAD_BYTES = 16_384
"""How many bytes the heads of all parts of a multipart form may have together."""
URLENCODED = "application/x-www-form-urlencoded"

_MULTIPART = "multipart/form-data"
# The media type of a part that holds several files as a multipart body of its own (deprecated: RFC 7578 section 4.3).
_NESTED = "multipart/mixed"
# RFC 2046 section 5.1.1.
_MAX_BOUNDARY_CHARACTERS = 70
# The decoder takes any two equal line ends for the end of a head.
_END_OF_HEAD = re.compile(rb"\r\n\r\n|\r\r|\n\n")


class FormTooLarge(Exception):
    """A form has too many fields or parts, or the heads of its parts are too large."""


class FormMalformed(Exception):
    """A form can't be read. The text says why, and repeats nothing of the form."""


def media_type(content_type: bytes) -> str:
    """The media type that a Content-Type header names, in lower case and without parameters."""
    return content_type.partition(b";")[0].strip(b" \t").lower().decode("latin-1")


def is_form(content_type: bytes) -> bool:
    """Whether a body of this Content-Type is a form."""
    return media_type(content_type) in (URLENCODED, _MULTIPART)


def form_fields(content_type: bytes, body: bytes) -> dict[bytes, list[bytes]]:
    """Read a form.

    Args:
        content_type: the Content-Type header, which is short: 256 bytes at most.
        body: the whole body.

    Returns:
        The values of each field in their order, as ``request.args`` has them; empty for a body that is no form. A part
        without a name is left out. The content of a file is the value of its field; the name of the file is left out.

    Raises:
        FormTooLarge: the form has more than 1,000 fields, or its parts' heads have more than 16 KiB.
        FormMalformed: the body is not a form of the kind that the Content-Type names.
    """
    kind = media_type(content_type)
    if kind == URLENCODED:
        return _urlencoded_fields(body)
    if kind == _MULTIPART:
        return _multipart_fields(_boundary(content_type), body)
    return {}


def _urlencoded_fields(body: bytes) -> dict[bytes, list[bytes]]:
    # parse_qs separates fields by both characters.
    if body.count(b"&") + body.count(b";") >= MAX_FIELDS:
        raise FormTooLarge
    # A % sign that escapes nothing takes the decoder several times as long as an escape, which has three bytes.
    if body.count(b"%") * 3 > len(body):
        raise FormMalformed("it has % signs that escape nothing")
    fields: dict[bytes, list[bytes]] = parse_qs(body, 1)
    return fields


def _boundary(content_type: bytes) -> bytes:
    _, parameters = parse_options_header(content_type.decode("latin-1"))
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARACTERS or not boundary.isascii():
        raise FormMalformed("its boundary is missing or malformed")
    return boundary.encode("ascii")


def _multipart_fields(boundary: bytes, body: bytes) -> dict[bytes, list[bytes]]:
    decoder = MultipartDecoder(boundary)
    # The body goes in as one piece: where a line end or a boundary is cut in two, the decoder adds a CR to a value.
    decoder.receive_data(body)
    decoder.receive_data(None)
    try:
        return _fields_of(decoder)
    except ValueError:
        # For bad forms the decoder raises no other errors than this one, which UnicodeDecodeError belongs to.
        raise FormMalformed("it is no multipart form") from None


def _fields_of(decoder: MultipartDecoder) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    parts, head_bytes = 0, 0
    name: str | None = None
    while decoder.state is not State.COMPLETE:
        if decoder.state is State.PART:
            parts += 1
            head_bytes += _next_head_bytes(decoder, MAX_HEAD_BYTES - head_bytes)
            if parts > MAX_FIELDS:
                raise FormTooLarge
        event = decoder.next_event()
        if isinstance(event, Preamble) and event.data:
            raise FormMalformed("it has text before its first part")
        if isinstance(event, Field | File):
            if media_type(event.headers.get("Content-Type", "").encode("utf-8")) == _NESTED:
                raise FormMalformed("a part of it is a multipart body")
            name = event.name
        # A part without an end comes with more_data, and the decoder raises a ValueError after that.
        if isinstance(event, Data) and name and not event.more_data:
            fields.setdefault(name.encode("utf-8"), []).append(event.data)
    return fields


def _next_head_bytes(decoder: MultipartDecoder, most_bytes: int) -> int:
    """The size of the head that the decoder parses next.

    Args:
        decoder: the decoder, which stands at the beginning of a part.
        most_bytes: how large the head may be; its end is not looked for behind that size.

    Raises:
        FormTooLarge: the head is larger.
        FormMalformed: the head has no end.
    """
    found = _END_OF_HEAD.search(decoder.buffer, 0, most_bytes + 4)
    if found is not None:
        return found.start()
    if len(decoder.buffer) > most_bytes:
        raise FormTooLarge
    raise FormMalformed("the head of a part has no end")
