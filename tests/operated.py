"""What tests of operations share: a service in memory that has operations, and what its ports answer. No test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from served import Served

from pode_signals import Endpoint, Operations
from pode_signals.core.tokens import NewToken

__all__ = ["OPERATIONS", "Answer", "Operated", "token_file"]

OPERATIONS = Endpoint("http", listen="tcp:8092:interface=127.0.0.1")


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def token_file(folder: Path, *tokens: NewToken) -> Path:
    """A file of tokens, for its owner alone."""
    path = folder / "tokens.toml"
    path.write_text("\n".join(each.block for each in tokens))
    path.chmod(0o600)
    return path


class Operated(Served):
    """A service in memory with operations."""

    def __init__(
        self,
        *,
        settings: dict[str, Any] | None = None,
        drain_seconds: float = 30,
        lame_duck_seconds: float = 0,
        **operations: Any,
    ) -> None:
        self.operations = Operations(**{"endpoints": [OPERATIONS], **operations})
        super().__init__(
            settings=settings,
            drain_seconds=drain_seconds,
            operations=self.operations,
            lame_duck_seconds=lame_duck_seconds,
        )

    def ask(
        self,
        path: str,
        *headers: tuple[str, str],
        port: int = 8092,
        method: str = "GET",
        address: str = "127.0.0.1",
        host: str = "localhost",
    ) -> Answer:
        """What a port answers."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
        raw = self.talk("\r\n".join([*lines, "", ""]).encode("latin-1"), port, address).value()
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        return Answer(int(first.split(" ")[1]), found, body)

    def ready(self) -> tuple[int, str]:
        """What ``/readyz`` says to anybody: the status and the word."""
        answer = self.ask("/readyz", host="192.0.2.1")
        assert list(answer.data) == ["status"]
        return answer.status, answer.data["status"]

    def codes(self) -> list[str]:
        """The codes of the causes, as a reader on this machine gets them."""
        return [each["code"] for each in self.ask("/readyz").data["causes"]]
