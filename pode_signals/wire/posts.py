"""The body of a POST of a server-sent events client: a JSON array of frames, taken apart without reading the frames."""

from __future__ import annotations

import re

from ..errors import MessageInvalid

__all__ = ["MOST_FRAMES", "frames_of"]

MOST_FRAMES = 100
"""How many frames one POST may have."""

# A whole string, or one character that matters outside of strings. A string without an end goes to the end of the text.
# Otherwise each quote in it would be taken for the begin of another one, up to the end, in a time that grows with the
# square of the size.
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_SPACE = " \t\r\n"


def frames_of(body: bytes) -> list[bytes]:
    """The texts of the frames, as they stand in the body. Each is judged by itself, as a message of a WebSocket is.

    Args:
        body: the body as it came, within the limit on its size.

    Raises:
        MessageInvalid: it is no UTF-8, no array, or an array of no frame or of more than 100.
    """
    try:
        text = body.decode("utf-8").strip(_SPACE)
    except UnicodeDecodeError:
        raise MessageInvalid("the body is not UTF-8") from None
    frames = [each.strip(_SPACE) for each in _elements(text)]
    if not all(frames):
        raise MessageInvalid("the body has an empty place for a frame")
    if len(frames) > MOST_FRAMES:
        raise MessageInvalid(f"the body has more than {MOST_FRAMES} frames")
    return [each.encode("utf-8") for each in frames]


def _elements(text: str) -> list[str]:
    """What stands between the commas of an array; whether that is JSON is not looked at."""
    found: list[str] = []
    depth, start = 0, 1
    for token in _TOKENS.finditer(text):
        character = token[0]
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
            # The end of what began first has to be the end of the text.
            if depth == 0:
                if token.end() == len(text) and text[0] == "[" and character == "]":
                    found.append(text[start : token.start()])
                    return found
                break
        elif character == "," and depth == 1 and len(found) <= MOST_FRAMES:
            found.append(text[start : token.start()])
            start = token.end()
    raise MessageInvalid("the body is no JSON array")
