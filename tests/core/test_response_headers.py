from __future__ import annotations

import pytest

from pode_signals.core.response_headers import response_header_lines


def test_who_the_connection_is() -> None:
    """S2.3: id, name and group come first, percent-encoded; without a group there is no line of one."""
    lines = b"X-PODE-SIGNAL-CLIENT-ID: a%2Cb\r\nX-PODE-SIGNAL-NAME: Z%C3%BCge\r\n"
    assert response_header_lines("a,b", "Züge", (), [], []) == lines
    assert response_header_lines("a,b", "Züge", ("G",), [], []) == lines + b"X-PODE-SIGNAL-GROUP: G\r\n"


def test_several_groups() -> None:
    """S2.3: several groups are one line with commas, each percent-encoded, in the order of joining."""
    lines = response_header_lines("1", "Msg", ("b", "a,b", "Züge", " c "), [], [])
    assert lines.split(b"\r\n")[2] == b"X-PODE-SIGNAL-GROUP: b,a%2Cb,Z%C3%BCge,%20c%20"


def test_what_the_route_set() -> None:
    """S2.3: what the route had set follows, byte for byte and each value in a line of its own, the cookies last."""
    headers = [
        (b"X-Latin", [b"caf\xe9"]),
        (b"Vary", [b"a", b"b, c"]),
        (b"Upgrade", [b"h2c"]),
        (b"Content-Type", [b"x"]),
    ]
    lines = response_header_lines("1", "Msg", (), headers, [b"a=b; HttpOnly", b"c=\xe9"])
    assert lines.split(b"\r\n")[2:] == [
        b"X-Latin: caf\xe9",
        b"Vary: a",
        b"Vary: b, c",
        b"Set-Cookie: a=b; HttpOnly",
        b"Set-Cookie: c=\xe9",
        b"",
    ]


@pytest.mark.parametrize(
    ("name", "value", "cookie"),
    [
        (b"X-Bad", b"a\r\nX-Forged: 1", b"good=1"),
        (b"X-Bad", b"a\0", b"good=1"),
        (b"X-Bad: 1\r\nX-Forged", b"1", b"good=1"),
        (b"", b"1", b"good=1"),
        (b"X-Good", b"1", b"a=b\nX-Forged: 1"),
    ],
)
def test_what_cant_be_sent(name: bytes, value: bytes, cookie: bytes) -> None:
    """S2.3: a line break or NUL in a value, or a name that is no token, is a ValueError that names the header."""
    bad = "Set-Cookie" if name == b"X-Good" else name.decode()
    with pytest.raises(ValueError, match=r"the response header .* can't be sent") as caught:
        response_header_lines("1", "Msg", (), [(name, [value])], [cookie])
    assert repr(bad.encode()) in str(caught.value)
