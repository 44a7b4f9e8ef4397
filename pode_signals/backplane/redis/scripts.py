"""The scripts that run inside Redis, and the names by which Redis knows them. It runs none."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files

from attrs import frozen

__all__ = [
    "APPEND",
    "BEAT",
    "CATCH_UP",
    "CHANGE",
    "FORGET",
    "LIVING",
    "LOG_SCRIPTS",
    "MEMBERS",
    "NODE_SCRIPTS",
    "OPEN",
    "REAP",
    "RESUME",
    "VERSIONS",
    "WRITABLE",
    "Script",
    "script",
]


@frozen
class Script:
    """A script.

    Attributes:
        text: in Lua.
        sha: the name that Redis gives it: SHA-1 of the text, in hexadecimal.
    """

    text: str
    sha: str


def script(name: str) -> Script:
    """The script of a file in ``lua/``, by its name without ``.lua``.

    Those that have to run on a Redis without memory, too, say so in their first line (``allow-oom``, Redis 7.0): they
    find out where a log is, and keep a node alive, and take next to nothing.
    """
    text = files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


APPEND, CATCH_UP, FORGET, OPEN, RESUME = map(script, ("append", "catch_up", "forget", "open", "resume"))
LOG_SCRIPTS = (APPEND, CATCH_UP, FORGET, OPEN, RESUME)
BEAT, CHANGE, LIVING, MEMBERS, REAP, VERSIONS = map(script, ("beat", "change", "living", "members", "reap", "versions"))
NODE_SCRIPTS = (BEAT, CHANGE, LIVING, MEMBERS, REAP, VERSIONS)
WRITABLE = script("writable")
