from __future__ import annotations

import io
from collections import defaultdict
from typing import Any

import pytest
from bounded import BoundedWorld
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent
from twisted.web.http import _getMultiPartArgs, parse_qs
from web_fakes import Answer, plain

from pode_signals.ports.forms import MAX_FIELDS, MAX_HEAD_BYTES, FormMalformed, FormTooLarge, form_fields

URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=b"


def part(name: str | None, value: bytes = b"", *headers: bytes) -> bytes:
    """One part of a multipart form."""
    named = b"" if name is None else b'; name="' + name.encode() + b'"'
    return (
        b"--b\r\n" + b"\r\n".join((b"Content-Disposition: form-data" + named, *headers)) + b"\r\n\r\n" + value + b"\r\n"
    )


def multipart(*parts: bytes) -> bytes:
    """A whole multipart form."""
    return b"".join(parts) + b"--b--\r\n"


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters='"\\'))
# What Twisted's parser takes otherwise than it came: a line feed alone, where the other one keeps it.
values = st.binary(max_size=40).filter(lambda value: b"--b" not in value and b"\n" not in value and b"\r" not in value)


class TestMultipart:
    @given(st.lists(st.tuples(names.filter(lambda name: name == name.strip()), values), max_size=8))
    def test_as_twisted_reads_them(self, fields: list[tuple[str, bytes]]) -> None:
        """S2.1: ``request.args`` of a multipart form is what Twisted makes of it; a part without a name is left out."""
        body = multipart(*(part(name, value) for name, value in fields))
        wanted = defaultdict(list)
        for name, value in fields:
            if name:
                wanted[name.encode()].append(value)
        assert form_fields(MULTIPART, body) == wanted
        # Twisted reads other names and some escapes as none was meant (RFC 7578 section 5.1 has UTF-8).
        if fields and all(name.isascii() and "%" not in name for name, _ in fields):
            assert form_fields(MULTIPART, body) == _getMultiPartArgs(body, MULTIPART)

    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"--", b"-", b"x", b"--c", b"\0", b"\xff"])))
    def test_files(self, pieces: list[bytes]) -> None:
        """S2.1: the bytes of a file are its field's value, byte for byte."""
        content = b"".join(pieces)
        body = multipart(part("p", b"x"), part("f", content, b'Content-Type: text/plain; x="y"'), part("q", b"y"))
        assert form_fields(MULTIPART, body) == {b"p": [b"x"], b"f": [content], b"q": [b"y"]}

    def test_a_file_with_a_name(self) -> None:
        """S2.1: a part with a file name is a field like any other."""
        head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n'
        assert form_fields(MULTIPART, head + b"content\r\n--b--\r\n") == {b"f": [b"content"]}

    def test_the_boundary(self) -> None:
        """S2.1: a boundary may be quoted, and has 1 to 70 ASCII characters (RFC 2046 section 5.1.1)."""
        body = multipart(part("a", b"1"))
        assert form_fields(b'Multipart/Form-Data ; charset=utf-8; boundary="b"', body) == {b"a": [b"1"]}
        long = b"x" * 70
        body_of_long = body.replace(b"--b", b"--" + long)
        assert form_fields(b"multipart/form-data; boundary=" + long, body_of_long) == {b"a": [b"1"]}
        for bad in (b"", b"; boundary=", b'; boundary=""', b"; boundary=" + b"x" * 71, b'; boundary="\xe4"'):
            with pytest.raises(FormMalformed, match="boundary"):
                form_fields(b"multipart/form-data" + bad, body)

    @pytest.mark.parametrize(
        "body",
        {
            "no part": b"nothing",
            "text before": b"before\r\n" + multipart(part("a")),
            "no end": part("a", b"1"),
            "cut in a head": part("a", b"1") + b"--b\r\nContent-Disposition: form-data",
            "no disposition": b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
            "no UTF-8": b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
            "nested": multipart(part("a", b"x", b"Content-Type: Multipart/Mixed; boundary=c")),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_malformed(self, body: tuple[str, bytes]) -> None:
        """S2.1: what is no multipart form, or has another one in it, is malformed, and is never read in part."""
        with pytest.raises(FormMalformed):
            form_fields(MULTIPART, body[1])

    @given(st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b";", b'"', b"name=", b"a", b":", b" ", b"\xff", b"\n"])))
    def test_nothing_else_is_raised(self, pieces: list[bytes]) -> None:
        """S2.1: whatever the bytes of a form are, it is read, or too large, or malformed."""
        head = b"--b\r\nContent-Disposition: form-data; "
        for body in (b"".join(pieces), head + b"".join(pieces), multipart(part("a", b"".join(pieces)))):
            try:
                form_fields(MULTIPART, body)
            except (FormMalformed, FormTooLarge):
                continue

    def test_the_heads_of_all_parts(self) -> None:
        """S16.4: the heads of all parts have 16 KiB together, in one part or in many, and whether they end or not."""
        size = len(b'Content-Disposition: form-data; name=""')
        assert form_fields(MULTIPART, multipart(part("n" * (MAX_HEAD_BYTES - size)))).keys() == {
            b"n" * (MAX_HEAD_BYTES - size)
        }
        for body in (
            multipart(part("n" * (MAX_HEAD_BYTES - size + 1))),
            multipart(*[part("n" * 1_000)] * 17),
            part("a") + b"--b\r\nX: " + b";" * (MAX_HEAD_BYTES + 4_096),
        ):
            with pytest.raises(FormTooLarge):
                form_fields(MULTIPART, body)

    def test_the_number_of_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """S16.4: a form has 1,000 parts at most."""
        # The heads of so many parts are larger than heads may be, which would be told first.
        monkeypatch.setattr("pode_signals.ports.forms.MAX_HEAD_BYTES", 1_000_000)
        assert len(form_fields(MULTIPART, multipart(*[part("a", b"1")] * MAX_FIELDS))[b"a"]) == MAX_FIELDS
        with pytest.raises(FormTooLarge):
            form_fields(MULTIPART, multipart(*[part("a", b"1")] * (MAX_FIELDS + 1)))


class TestUrlencoded:
    @given(st.lists(st.sampled_from([b"a", b"=", b"&", b";", b"+", b"%41", b"%c3%a4", b"\xff"]), max_size=30))
    def test_as_twisted_reads_them(self, pieces: list[bytes]) -> None:
        """S2.1: ``request.args`` of an urlencoded form is what Twisted makes of it."""
        body = b"".join(pieces)
        for content_type in (URLENCODED, b"Application/X-WWW-Form-URLencoded ; charset=utf-8"):
            assert form_fields(content_type, body) == parse_qs(body, 1)

    @pytest.mark.parametrize("separator", [b"&", b";"])
    def test_the_number_of_fields(self, separator: bytes) -> None:
        """S16.4: an urlencoded form has 999 separators at most, whichever of the two they are."""
        assert len(form_fields(URLENCODED, separator.join([b"a=b"] * MAX_FIELDS))[b"a"]) == MAX_FIELDS
        with pytest.raises(FormTooLarge):
            form_fields(URLENCODED, separator.join([b"a=b"] * MAX_FIELDS) + b"&")

    def test_percent_signs(self) -> None:
        """S16.4: more percent signs than there is room for escapes are malformed: each costs an exception."""
        assert form_fields(URLENCODED, b"a=100%&b=%e4%2") == {b"a": [b"100%"], b"b": [b"\xe4%2"]}
        assert form_fields(URLENCODED, b"a=" + b"%41" * 1_000) == {b"a": [b"A" * 1_000]}
        with pytest.raises(FormMalformed, match="%"):
            form_fields(URLENCODED, b"a=" + b"%" * 1_000)


def test_other_bodies_are_no_forms() -> None:
    """S2.1: a body that is no form has no fields, whatever it holds."""
    for content_type in (b"", b"application/json", b"text/plain", b"multipart/mixed; boundary=b", b";"):
        assert form_fields(content_type, multipart(part("a", b"1"))) == {}


# Through a Site.


class FormWorld(BoundedWorld):
    """``/form`` keeps what ``request.args`` is, and gives the body back."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.args: list[dict[bytes, list[bytes]]] = []

        @self.app.route("/form", methods=["POST", "PUT", "GET"])
        def form(request: Any) -> bytes:
            self.args.append(dict(request.args))
            return bytes(request.content.read())

    def ask(self, content_type: bytes, body: bytes, *, path: bytes = b"/form", method: bytes = b"POST") -> Answer:
        """Send a form on a connection of its own."""
        return self.client().ask(plain(path, (b"Content-Type", content_type), method=method, body=body))


def test_args() -> None:
    """S2.1: the fields of a form are in ``request.args``, before those of the query, and the body can be read too."""
    world = FormWorld()
    for content_type, body in (
        (URLENCODED, b"a=1&b=2&b=3"),
        (MULTIPART, multipart(part("a", b"1"), part("b", b"2"), part("b", b"3"))),
    ):
        assert world.ask(content_type, body, path=b"/form?a=0&c=4").body == body
        assert world.args[-1] == {b"a": [b"1"], b"b": [b"2", b"3"], b"c": [b"4"]}


@pytest.mark.parametrize(("content_type", "reads"), [(URLENCODED, 2), (MULTIPART, 2), (b"text/plain", 1), (b"", 1)])
def test_other_bodies_stay_in_their_file(content_type: bytes, reads: int) -> None:
    """S16.4: a body that is no form is not read into memory, whatever its size; the route alone reads it."""
    world = FormWorld()
    seen: list[int] = []

    class Content(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.append(1)
            return super().read(size)

    world.site.getContentFile = lambda length: Content()  # type: ignore[attr-defined]
    assert world.ask(content_type, multipart(part("a"))).status == 200
    assert len(seen) == reads


def test_only_posts() -> None:
    """S2.1: the body of any other method is no form, as in Twisted."""
    world = FormWorld()
    assert world.ask(URLENCODED, b"a=1", method=b"PUT").body == b"a=1"
    assert world.args == [{}]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (URLENCODED, b"&" * 1_000, 413),
        (URLENCODED, b";" * 1_000, 413),
        (URLENCODED, b"%" * 1_000, 400),
        (MULTIPART, multipart(part("n" * 20_000)), 413),
        (MULTIPART, b"nothing", 400),
        (b"multipart/form-data", multipart(part("a")), 400),
    ],
)
def test_refused_forms(content_type: bytes, body: bytes, status: int) -> None:
    """S2.1: a form that is too large gets 413, a malformed one 400, on each path, with a line and no traceback."""
    world = FormWorld()
    with capturedLogs() as logs:
        answers = [world.ask(content_type, body, path=path) for path in (b"/form", b"/nowhere", b"/msg")]
    assert [answer.status for answer in answers] == [status] * 3
    assert all(b"form" in answer.body for answer in answers)
    assert world.args == []
    counters = world.signals.counters
    assert (counters.forms_too_large, counters.requests_malformed) == ((3, 0) if status == 413 else (0, 3))
    assert not any("log_failure" in event for event in logs)
    (text,) = {formatEvent(event) for event in logs if event.get("kind") in ("forms_too_large", "requests_malformed")}
    assert "form" in text


@pytest.mark.parametrize("chunked", [False, True])
def test_large_urlencoded_forms(chunked: bool) -> None:
    """S16.4: an urlencoded form has ``max_form_bytes``, 256 KiB, whatever its method; other bodies have 1 MiB."""
    world = FormWorld()

    def status(content_type: bytes, size: int, method: bytes = b"POST") -> int:
        body = b"a=" + b"x" * (size - 2)
        if chunked:
            headers = ((b"Content-Type", content_type), (b"Transfer-Encoding", b"chunked"))
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
            return world.client().ask(plain("/form", *headers, method=method) + body).status
        return world.ask(content_type, body, method=method).status

    assert status(URLENCODED, 262_144) == 200
    assert world.hit == {}
    assert status(URLENCODED, 262_145) == status(URLENCODED + b"; charset=utf-8", 262_145, b"PUT") == 413
    assert world.hit == {"max_form_bytes": 2}
    assert status(b"application/octet-stream", 1_048_576) == 200
    assert status(URLENCODED, 1_048_577) == 413
    assert world.hit == {"max_form_bytes": 3}


def test_the_next_request() -> None:
    """S2.1: a form that was refused is told to end its connection; what was sent behind it is not served."""
    world = FormWorld()
    client = world.client()
    client.send(plain("/form", (b"Content-Type", URLENCODED), method=b"POST", body=b"&" * 1_000) + plain("/ok"))
    assert [answer.status for answer in client.answers] == [413]
    assert client.answers[0].value("Connection") == "close"
