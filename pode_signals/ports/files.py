"""The files that an operator names: read whole, texts without a byte order mark. Nothing is ever written here."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from ..errors import ConfigurationInvalid

__all__ = ["read_bytes", "read_password", "read_secrets", "read_text", "why_not_readable"]

_MARK = "\ufeff"
# The mark of UTF-32-LE begins with that of UTF-16-LE.
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_LINE_ENDS = ("\r\n", "\r")


def read_bytes(path: str | Path, *, again: bool = False) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        again: whether the file was read before. A pipe can't be read twice, and waiting for one would stop the server.

    Raises:
        ConfigurationInvalid: the file can't be read, or is UTF-16 or UTF-32; the sentence names the file.
    """
    if again and (why := why_not_readable(path)) is not None:
        raise ConfigurationInvalid(f"{path}: {why}")
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationInvalid(f"{path}: {_reason(error)}") from error
    if _is_wide(data):
        raise ConfigurationInvalid(f"{path}: it is UTF-16 or UTF-32; save it as UTF-8")
    return data


def read_text(path: str | Path, *, again: bool = False) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        ConfigurationInvalid: the file can't be read, or is not UTF-8; the sentence names the file.
    """
    data = read_bytes(path, again=again)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationInvalid(f"{path}: it is not UTF-8") from error
    if "\0" in text:
        raise ConfigurationInvalid(f"{path}: it has a zero byte, which no text has")
    for line_end in _LINE_ENDS:
        text = text.replace(line_end, "\n")
    return text


def read_secrets(path: str | Path, *, again: bool = False) -> tuple[str, ...]:
    """The lines of a file that are not empty, one secret each.

    Raises:
        ConfigurationInvalid: the file can't be read, is not UTF-8, or has no such line; the sentence names the file.
    """
    secrets = tuple(filter(None, _lines(read_text(path, again=again))))
    if not secrets:
        raise ConfigurationInvalid(f"{path}: it is empty")
    return secrets


def read_password(path: str | Path, *, again: bool = False) -> str:
    """The first line of a file. A file with nothing but an empty line has the empty password.

    Raises:
        ConfigurationInvalid: the file can't be read, is not UTF-8, has no line, or has an empty line before others; the
            sentence names the file.
    """
    text = read_text(path, again=again)
    if not text:
        raise ConfigurationInvalid(f"{path}: it is empty")
    password, *others = _lines(text)
    if not password and any(others):
        raise ConfigurationInvalid(f"{path}: its first line, which is the password, is empty")
    return password


def why_not_readable(path: str | Path) -> str | None:
    """Why a file that was read at the start can't be read now; None if it can be read."""
    try:
        # A pipe without a writer would make the call wait.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        return _reason(error)
    try:
        return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else "it is no file that can be read twice"
    finally:
        os.close(descriptor)


def _lines(text: str) -> list[str]:
    # Where files were joined, a byte order mark may begin any line. Lines are split at "\n" alone, since a password may
    # have the other characters at which Python's splitlines splits.
    return [line.removeprefix(_MARK) for line in text.removesuffix("\n").split("\n")]


def _is_wide(data: bytes) -> bool:
    """Whether the bytes are UTF-16 or UTF-32: they begin with a mark, or their first character is ASCII with zeros."""
    return data.startswith(_WIDE_MARKS) or 0 in data[:2]


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
