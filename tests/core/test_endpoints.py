from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import pytest

from pode_signals.core.endpoints import Endpoint, place_of
from pode_signals.errors import ConfigurationInvalid


@pytest.mark.parametrize(("protocol", "port"), [("http", 8080), ("https", 8443), ("ws", 9080), ("wss", 9443)])
def test_default_ports(protocol: str, port: int) -> None:
    """S1.1: without a port an endpoint has the one that Pode gives its protocol, on localhost."""
    endpoint = Endpoint(protocol)
    assert (endpoint.address, endpoint.port) == ("localhost", port)
    assert Endpoint(protocol, port=0).port == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Endpoint("ftp"), "'ftp'"),
        (lambda: Endpoint("http", "example.com", 80), "http example.com:80"),
        (lambda: Endpoint("http", port=65_536), "http localhost:65536"),
        (lambda: Endpoint("http", port=-1), "http localhost:-1"),
        (lambda: Endpoint("http", port=True), "http localhost:True"),
        (lambda: Endpoint("http", port="80"), "http localhost:80"),  # type: ignore[arg-type]
        (lambda: Endpoint("http", port=81, name="admin", hostname="a b"), "http localhost:81 (admin)"),
        (lambda: Endpoint("http", port=82, hostname="example.com:82"), "http localhost:82"),
        (lambda: Endpoint("http", port=83, name=5), "http localhost:83"),  # type: ignore[arg-type]
        (lambda: Endpoint("http", port=84, auto_upgrade=True), "http localhost:84"),
        (lambda: Endpoint("ws", port=85, auto_upgrade="no"), "ws localhost:85"),  # type: ignore[arg-type]
        (lambda: Endpoint("http", port=86, certificate="a.pem"), "http localhost:86"),
        (lambda: Endpoint("https", port=87, certificate="a.pem", self_signed=True), "https localhost:87"),
        (lambda: Endpoint("https", port=88, certificate_key="a.pem"), "https localhost:88"),
        (
            lambda: Endpoint("https", port=92, certificate="a", certificate_password=5),  # type: ignore[arg-type]
            "https localhost:92",
        ),
        (
            lambda: Endpoint("https", port=93, certificate="a", certificate_password="", certificate_password_file="b"),
            "https localhost:93",
        ),
        (lambda: Endpoint("http", port=89, listen="tcp:89"), "http tcp:89"),
        (lambda: Endpoint("http", listen="ssl:90"), "http ssl:90"),
        (lambda: Endpoint("https", listen="ssl:91", self_signed=True), "https ssl:91"),
        (lambda: Endpoint("http", listen="unix:/run/chat.socket", reuse_port=True), "http unix:/run/chat.socket"),
        (lambda: Endpoint("http", port=94, reuse_port="no"), "http localhost:94"),  # type: ignore[arg-type]
        (lambda: Endpoint("http", listen=""), "http"),
    ],
)
def test_what_can_not_work(make: object, named: str) -> None:
    """S1.1: an endpoint that can't work is refused when it is made, by a sentence that names it."""
    with pytest.raises(ConfigurationInvalid) as refused:
        make()  # type: ignore[operator]
    assert named in str(refused.value)


def test_the_password_is_not_shown() -> None:
    """S1.5: the representation of an endpoint does not have the certificate's password."""
    endpoint = Endpoint("https", certificate="a.pfx", certificate_password="open sesame")
    assert "sesame" not in f"{endpoint!r} {endpoint}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:8091", Endpoint("http", "localhost", 8091)),
        ("ws://127.0.0.1", Endpoint("ws", "127.0.0.1", 9080)),
        ("wss://*:8443/", Endpoint("wss", "*", 8443)),
        ("http://[::1]:0", Endpoint("http", "::1", 0)),
        (
            "wss://*:8443?name=admin&hostname=example.com&auto_upgrade=yes&certificate=/a+b.pem&certificate_key=k.pem",
            Endpoint(
                "wss",
                "*",
                8443,
                name="admin",
                hostname="example.com",
                auto_upgrade=True,
                certificate="/a b.pem",
                certificate_key="k.pem",
            ),
        ),
        ("https://localhost:1?self_signed=yes", Endpoint("https", "localhost", 1, self_signed=True)),
        ("http://*:2?reuse_port=yes", Endpoint("http", "*", 2, reuse_port=True)),
        ("http+tcp:8091:interface=127.0.0.1", Endpoint("http", listen="tcp:8091:interface=127.0.0.1")),
        ("ws+unix:/run/chat?1.socket", Endpoint("ws", listen="unix:/run/chat?1.socket")),
    ],
)
def test_parse(text: str, expected: Endpoint) -> None:
    """S1.6: an endpoint can be written as an address with options, or as a protocol and a Twisted endpoint string."""
    assert Endpoint.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http",
        "http:localhost:8091",
        "localhost:8091",
        "http://",
        "http://localhost:x",
        "http://localhost:99999",
        "http://[::1",
        "http://user@localhost:80",
        "http://localhost:80/path",
        "http://localhost:80#x",
        "http://localhost:80?nam=x",
        "http://localhost:80?port=81",
        "http://localhost:80?name",
        "ws://localhost:80?auto_upgrade=perhaps",
        "https://localhost:80?certificate=a.pfx&certificate_password=secret",
        "ftp+tcp:80",
    ],
)
def test_parse_refuses(text: str) -> None:
    """S1.6: what can't be read as an endpoint is refused."""
    with pytest.raises(ConfigurationInvalid):
        Endpoint.parse(text)


class Socket(Enum):
    """Protocols as an enumeration of the user's."""

    PLAIN = "ws"


class Listening:
    """What listens as an endpoint of Twisted does."""

    def listen(self, factory: object) -> None: ...


class Alike(Listening):
    """What says that it is equal to everything, and has no hash."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class SSL4ServerEndpoint(Listening):
    """By its name Twisted's own, which has TLS."""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Endpoint("http", 8091),  # type: ignore[arg-type]
            "Endpoint('http', 8091): the address comes second; write Endpoint('http', port=8091)",
        ),
        (
            lambda: Endpoint("http", None, 8091),  # type: ignore[arg-type]
            "the endpoint http None:8091: "
            "the address has to be an IP address, localhost or *; names belong in hostname",
        ),
        (
            lambda: Endpoint("http://localhost:8091"),
            "the protocol of an endpoint is http, https, ws or wss, not 'http://localhost:8091': "
            "write Endpoint.parse('http://localhost:8091')",
        ),
        (
            lambda: Endpoint(["http"]),  # type: ignore[arg-type]
            "the protocol of an endpoint is http, https, ws or wss, not ['http']",
        ),
        (
            lambda: Endpoint("http", port="8091"),  # type: ignore[arg-type]
            "the endpoint http localhost:8091: the port has to be a number from 0 to 65535, not the text '8091'",
        ),
        (
            lambda: Endpoint("http", port=65_536),
            "the endpoint http localhost:65536: the port has to be a number from 0 to 65535, not 65536",
        ),
        (
            lambda: Endpoint("http", listen=8091),  # type: ignore[arg-type]
            "the endpoint http 8091: listen has to be a Twisted endpoint or a string for one, not 8091",
        ),
        (
            lambda: Endpoint("http", listen=Listening),  # type: ignore[arg-type]
            f"the endpoint http {Listening}: listen has to be a Twisted endpoint or a string for one, not {Listening}",
        ),
    ],
)
def test_mistakes_of_the_programmer(make: Callable[[], Endpoint], sentence: str) -> None:
    """S20.1: an argument of an endpoint that is something else is refused at its line, in a sentence."""
    with pytest.raises(ConfigurationInvalid) as refused:
        make()
    assert str(refused.value) == sentence


def test_a_protocol_of_an_enumeration() -> None:
    """S20.5: the protocol of an endpoint is taken as its text or as the member of an enumeration."""
    endpoint = Endpoint(Socket.PLAIN, port=1)  # type: ignore[arg-type]
    assert endpoint == Endpoint("ws", port=1)
    assert (str(endpoint), endpoint.takes_upgrades) == ("ws localhost:1", True)


@pytest.mark.parametrize("kind", [Listening, Alike])
def test_an_endpoint_of_twisted(kind: type[Listening]) -> None:
    """S1.6: an endpoint can listen by an endpoint of Twisted, which is itself alone and takes no address."""
    by, other = kind(), kind()
    endpoint = Endpoint("http", listen=by, name="page")
    assert str(endpoint) == f"http {kind.__name__} (page)"
    assert endpoint == Endpoint("http", listen=by, name="page")
    assert hash(endpoint) == hash(Endpoint("http", listen=by, name="page"))
    assert endpoint != Endpoint("http", listen=other, name="page")
    assert place_of(endpoint) == place_of(Endpoint("ws", listen=by)) != place_of(Endpoint("ws", listen=other))
    with pytest.raises(ConfigurationInvalid, match="listen takes the place of address and port"):
        Endpoint("http", port=80, listen=by)


def test_tls_of_an_endpoint_of_twisted() -> None:
    """S1.5: Twisted's TLS endpoint brings its certificate; any other gets the one that is given."""
    assert Endpoint("https", listen=SSL4ServerEndpoint()).brings_tls
    assert not Endpoint("https", listen=Listening(), self_signed=True).brings_tls
    with pytest.raises(ConfigurationInvalid, match="no use for a certificate"):
        Endpoint("https", listen=SSL4ServerEndpoint(), self_signed=True)
    with pytest.raises(ConfigurationInvalid, match="needs the protocol https or wss"):
        Endpoint("ws", listen=SSL4ServerEndpoint())


def test_certificate_files() -> None:
    """S1.5: an endpoint tells the files of its certificate by paths that hold wherever the process goes."""
    endpoint = Endpoint("https", certificate="/a.pem", certificate_key="/k.pem", certificate_password_file="/p")
    assert endpoint.certificate_files == ("/a.pem", "/k.pem", "/p")
    assert Endpoint("https", self_signed=True).certificate_files == ()
