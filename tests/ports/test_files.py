from __future__ import annotations

import codecs
import os
import socket
import warnings
from pathlib import Path

import pytest
from certificate_files import issue
from OpenSSL import crypto

from pode_signals import Endpoint, Signals
from pode_signals.command.config import Configuration
from pode_signals.command.tap import Options
from pode_signals.core.paths import absolute_path
from pode_signals.errors import ConfigurationInvalid
from pode_signals.ports.certificates import ServerCertificate
from pode_signals.ports.files import read_password, read_secrets, read_text, why_not_readable
from pode_signals.ports.listeners import group_endpoints

SECRET = "geheim: schön, und lang genug für uns"
MARK = codecs.BOM_UTF8
# How editors write a text of one line.
ENDS = {"LF": "\n", "CR LF": "\r\n", "CR": "\r", "none": ""}
WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def options(*arguments: str) -> Options:
    """The options of a command line."""
    made = Options()
    made.parseOptions(arguments)
    return made


def serial(endpoint: Endpoint) -> int:
    """The serial number of the certificate that clients of an endpoint are shown."""
    server = ServerCertificate(*group_endpoints([endpoint])).serverConnectionForTLS(None)  # type: ignore[arg-type]
    shown = server.get_certificate()
    assert shown is not None
    return shown.to_cryptography().serial_number


@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "mark"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
class TestOneLine:
    def test_secret(self, file: Path, mark: bytes, end: str) -> None:
        """S8.3: a secret is the text of its line, whatever editor wrote the file, and ids are signed with that text."""
        file.write_bytes(mark + f"{SECRET}{end}".encode())
        configuration = options("--secret-file", str(file)).configuration()
        assert configuration.secrets == (SECRET,)
        signals, other = Signals(), Signals()
        signals.enable_signing(configuration.secrets)
        other.enable_signing(SECRET)
        assert other.is_client_id_signed(signals.new_client_id())

    def test_password(self, file: Path, mark: bytes, end: str) -> None:
        """S1.5: a password is the text of the first line, whatever editor wrote the file."""
        file.write_bytes(mark + f"{SECRET}{end}".encode())
        arguments = ("--certificate", "any.pfx", "--certificate-password-file", str(file))
        assert options(*arguments).configuration().certificate_password == SECRET
        issued = issue()
        (file.parent / "cert.pfx").write_bytes(issued.pfx(SECRET.encode()))
        endpoint = Endpoint(
            "https", certificate=str(file.parent / "cert.pfx"), certificate_password_file=str(file), port=1
        )
        assert serial(endpoint) == issued.serial

    def test_configuration(self, file: Path, mark: bytes, end: str) -> None:
        """S12.1: a configuration file may begin with a byte order mark, and its lines may end as they like."""
        file.write_bytes(mark + f"drain_seconds = 5{end}".encode())
        assert options("--config", str(file)).configuration().drain_seconds == 5

    def test_pem(self, file: Path, mark: bytes, end: str) -> None:
        """S1.5: certificates and keys in PEM may begin with a byte order mark, and their lines may end as they like."""
        issued = issue()
        pem, key = file.with_name("cert.pem"), file.with_name("key.pem")
        for path, data in ((pem, issued.pem()), (key, issued.key_pem())):
            path.write_bytes(mark + data.replace(b"\n", end.encode() or b"\n"))
        assert serial(Endpoint("https", certificate=str(pem), certificate_key=str(key), port=1)) == issued.serial


@pytest.mark.parametrize("encoding", WIDE)
def test_wide_texts_are_told(file: Path, encoding: str) -> None:
    """S1.5: UTF-16 and UTF-32, with a mark or without, are one sentence that says what to do, in any file."""
    texts = {"secret": SECRET, "config": "drain_seconds = 5\n", "pem": issue().pem().decode()}
    paths = {name: file.with_name(name) for name in texts}
    for name, text in texts.items():
        paths[name].write_bytes(text.encode(encoding))
    said = r"UTF-16 or UTF-32; save it as UTF-8"
    with pytest.raises(ConfigurationInvalid, match=said):
        options("--secret-file", str(paths["secret"])).configuration()
    with pytest.raises(ConfigurationInvalid, match=said):
        options("--certificate-password-file", str(paths["secret"])).configuration()
    with pytest.raises(ConfigurationInvalid, match=said):
        options("--config", str(paths["config"])).configuration()
    with pytest.raises(ConfigurationInvalid, match=said):
        ServerCertificate(*group_endpoints([Endpoint("https", certificate=str(paths["pem"]), port=1)]))


@pytest.mark.parametrize(
    ("data", "secrets"),
    [
        (b"one\n\ntwo\n", ("one", "two")),
        (b"\n\none", ("one",)),
        (b"\r\n\r\none\r\n", ("one",)),
        (MARK + b"one\n" + MARK + b"two\n", ("one", "two")),
        (MARK + b"\r\n" + MARK + b"one", ("one",)),
        (b"one \n two\n", ("one ", " two")),
        # What Python takes for an end of a line elsewhere is a character here.
        ("o\x0bn\x0ce\x1c\x85\u2028\n".encode(), ("o\x0bn\x0ce\x1c\x85\u2028",)),
    ],
)
def test_lines_of_secrets(file: Path, data: bytes, secrets: tuple[str, ...]) -> None:
    """S8.3: each line is a secret as it stands, blanks included; empty lines are none, and neither are byte order
    marks, which stand in the middle where files were joined.
    """
    file.write_bytes(data)
    assert read_secrets(file) == secrets


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"one\ntwo\n", "one"),
        (b" one \n", " one "),
        ("o\x85ne\x0b\n".encode(), "o\x85ne\x0b"),
        (b"\n", ""),
        (b"\r\n", ""),
        (MARK + b"\n", ""),
        (b"\n\n", ""),
    ],
)
def test_the_first_line_is_the_password(file: Path, data: bytes, password: str) -> None:
    """S1.5: the first line is the password as it stands; an empty one alone is the empty password."""
    file.write_bytes(data)
    assert read_password(file) == password


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (MARK, "it is empty"),
        (b"\none\n", "its first line, which is the password, is empty"),
        (b"\xff", "it is not UTF-8"),
        ("schl\xfcssel".encode("latin-1"), "it is not UTF-8"),
        (b"abc\0def", "a zero byte"),
        (None, "No such file"),
    ],
)
def test_what_is_no_password(file: Path, data: bytes | None, said: str) -> None:
    """S1.5: a file that has no password is one sentence that names the file."""
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigurationInvalid) as refused:
        read_password(file)
    assert str(refused.value) == f"{file}: {refused.value.args[0].removeprefix(f'{file}: ')}"
    assert said in str(refused.value)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5_000])
def test_a_path_that_is_none(path: str) -> None:
    """S12.1: a path that no file can have is one sentence, too."""
    with pytest.raises(ConfigurationInvalid):
        read_text(path)
    assert why_not_readable(path)


def test_what_can_be_read_again(tmp_path: Path) -> None:
    """S1.5: a regular file can be read again, by a link too; a folder, a pipe, a socket and nothing can't."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        found = {name: why_not_readable(tmp_path / name) for name in ("file", "link", "pipe", "socket", "", "none")}
    assert [name for name, why in found.items() if why is None] == ["file", "link"]
    with pytest.raises(ConfigurationInvalid, match="pipe"):
        read_text(tmp_path / "pipe", again=True)


def test_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.5: the path of a file holds wherever the process goes, and links in it stay links, which may be turned."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "current").symlink_to("first")
    assert absolute_path("current/file") == str(tmp_path / "current" / "file")
    assert absolute_path("/etc/../file") == "/etc/../file"
    endpoint = Endpoint("https", certificate="current/cert.pem", certificate_key="key.pem")
    assert endpoint.certificate_files == (str(tmp_path / "current/cert.pem"), str(tmp_path / "key.pem"))


class TestEmptyPassword:
    """``certificate_password=""``."""

    def test_pkcs12(self, tmp_path: Path) -> None:
        """S1.5: the empty text is a password, which opens a PKCS#12 file that was made with it, and no other."""
        (tmp_path / "cert.pfx").write_bytes(issue().pfx(None))
        (tmp_path / "locked.pfx").write_bytes(issue().pfx(b"locked"))
        certificate = str(tmp_path / "cert.pfx")
        ServerCertificate(*group_endpoints([Endpoint("https", certificate=certificate, certificate_password="")]))
        locked = Endpoint("https", certificate=str(tmp_path / "locked.pfx"), certificate_password="")
        with pytest.raises(ConfigurationInvalid, match="a wrong password"):
            ServerCertificate(*group_endpoints([locked]))

    @pytest.mark.parametrize(
        ("key", "said"), [("plain", "has no password"), ("locked", "a wrong password"), ("rubbish", "no key in PEM")]
    )
    def test_pem(self, tmp_path: Path, key: str, said: str) -> None:
        """S1.5: the empty password does not fit a key without one, nor one with another."""
        issued = issue()
        keys = {"plain": issued.key_pem(), "locked": issued.key_pem(b"locked"), "rubbish": b"-----BEGIN KEY-----"}
        (tmp_path / "cert.pem").write_bytes(issued.pem())
        (tmp_path / "key.pem").write_bytes(keys[key])
        files = {"certificate": str(tmp_path / "cert.pem"), "certificate_key": str(tmp_path / "key.pem")}
        with pytest.raises(ConfigurationInvalid, match=said):
            ServerCertificate(*group_endpoints([Endpoint("https", **files, certificate_password="")]))

    def test_pem_of_openssl(self, tmp_path: Path) -> None:
        """S1.5: a key in PEM that OpenSSL encrypted with the empty password is read with it."""
        issued = issue()
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # nothing else makes such a key
            key = crypto.dump_privatekey(
                crypto.FILETYPE_PEM, crypto.PKey.from_cryptography_key(issued.key), "aes256", b""
            )
        (tmp_path / "cert.pem").write_bytes(issued.pem() + key)
        endpoint = Endpoint("https", certificate=str(tmp_path / "cert.pem"), certificate_password="")
        ServerCertificate(*group_endpoints([endpoint]))
        with pytest.raises(ConfigurationInvalid, match="needs a password"):
            ServerCertificate(*group_endpoints([Endpoint("https", certificate=endpoint.certificate)]))

    def test_without_a_certificate(self, file: Path) -> None:
        """S1.5: the empty password alone is a password without a certificate, as any other."""
        with pytest.raises(ConfigurationInvalid, match="a password without a certificate"):
            Endpoint("https", certificate_password="")
        file.write_text("\n")
        configuration = options("--certificate-password-file", str(file)).configuration()
        assert configuration.certificate_password == ""
        with pytest.raises(ConfigurationInvalid, match="a password without a certificate"):
            configuration.with_certificate([Endpoint("https")])
        with pytest.raises(ConfigurationInvalid, match="a password without a certificate"):
            Configuration(settings={}, certificate_password="").with_certificate([Endpoint("https")])
