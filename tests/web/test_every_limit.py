"""Every limit that acts is counted under its setting and written as one line: one scene for each."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bounded import BoundedWorld
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from web_fakes import PING, World, frame, head, message, plain

import pode_signals
from pode_signals.core.settings import SETTING_NAMES
from pode_signals.core.text import printable
from pode_signals.errors import MessageTooBig, TooManyAcknowledgements

FORM = "application/x-www-form-urlencoded"
PACKAGE = Path(pode_signals.__file__).parent


class Scene(NamedTuple):
    """What makes a limit act, once."""

    play: Callable[[BoundedWorld], Any]
    settings: dict[str, Any] = {}  # noqa: RUF012  # never changed


def client_sends(*data: bytes) -> Callable[[BoundedWorld], Any]:
    """A client connects and sends this."""
    return lambda world: world.client().open().send(*data)


def request_of(data: bytes) -> Callable[[BoundedWorld], Any]:
    """A client connects and sends this instead of an upgrade."""
    return lambda world: world.client().send(data)


def two_clients(world: BoundedWorld) -> None:
    world.client().open()
    assert world.client().ask(head()).status in (429, 503)


def two_names(world: BoundedWorld) -> None:
    world.converting("/other", "Other")
    world.client().open()
    assert world.client().ask(head("/other")).status == 503


def two_groups(world: BoundedWorld) -> None:
    world.client().open()
    world.converted[0].join("secret")
    with pytest.raises(ValueError, match="max_groups"):
        world.converted[0].join("another secret")


def functions_that_never_end(world: BoundedWorld) -> None:
    world.signals.add_route("/msg", lambda event: Deferred())
    world.client().open().send(*[message("secret")] * 6)


def a_function_that_never_ends(world: BoundedWorld) -> None:
    world.signals.add_route("/msg", lambda event: Deferred(lambda deferred: deferred.callback(None)))
    world.client().open().send(message("secret"))
    world.turn(31)


def a_client_that_does_not_read(world: BoundedWorld) -> None:
    client = world.client().open()
    client.wire.producer.pauseProducing()
    world.converted[0].send("secret")
    world.converted[0].send("secret")


def a_client_that_answers_nothing(world: BoundedWorld) -> None:
    world.client().open()
    world.wait(40)


def a_close_frame_without_an_answer(world: BoundedWorld) -> None:
    world.client().open()
    world.converted[0].close()
    world.wait(6)


def a_message_without_an_end(world: BoundedWorld) -> None:
    world.client().open().send(frame("secret", fin=False))
    world.wait(12)


def two_unfinished_requests(world: BoundedWorld) -> None:
    world.client()
    world.client()


def a_request_without_an_end(world: BoundedWorld) -> None:
    world.client().send(b"GET /secret")
    world.wait(11)


def a_body_without_an_end(world: BoundedWorld) -> None:
    world.client().send(plain("/echo", ("Content-Length", "100"), method=b"POST") + b"secret")
    world.wait(12)


def an_answer_that_nobody_reads(world: BoundedWorld) -> None:
    client = world.client().send(plain("/endless"))
    client.wire.producer.pauseProducing()
    world.endless[0].callback(b"secret" * 100)
    world.wait(61)


def much_to_say(world: BoundedWorld) -> None:
    world.client().open()
    with suppress(MessageTooBig):
        world.signals.send("secret" * 1_000, name="Msg")


def a_send_that_asks_two(world: BoundedWorld) -> None:
    for _ in range(2):
        world.client().open("/msg", ("Sec-WebSocket-Protocol", "pode.signals.v1"))
    with suppress(TooManyAcknowledgements):
        world.signals.send("secret", name="Msg", acknowledge=True)


def a_login_that_is_over(world: BoundedWorld) -> None:
    world.client().open()
    world.converted[0].expires = world.converted[0].connected_at + timedelta(seconds=5)
    world.wait(31)


SCENES = {
    "bad_messages_limit": Scene(client_sends(frame("secret")), {"bad_messages_limit": 1}),
    "close_timeout_seconds": Scene(a_close_frame_without_an_answer),
    "control_frames_per_second": Scene(client_sends(*[frame("secret", PING)] * 21)),
    "handler_timeout_seconds": Scene(a_function_that_never_ends, {"ping_interval_seconds": 100}),
    "handshake_head_bytes": Scene(request_of(plain("/ok", ("X-Secret", "secret" * 5_000)))),
    "handshake_timeout_seconds": Scene(a_request_without_an_end),
    "inbox_bytes": Scene(functions_that_never_end, {"inbox_bytes": 100}),
    "expiry_grace_seconds": Scene(a_login_that_is_over, {"ping_interval_seconds": 100}),
    "max_pending_acknowledgements": Scene(a_send_that_asks_two, {"max_pending_acknowledgements": 1}),
    "max_connections": Scene(two_clients, {"max_connections": 1}),
    "max_connections_per_address": Scene(two_clients, {"max_connections_per_address": 1}),
    "max_request_body_bytes": Scene(
        request_of(plain("/echo", method=b"POST", body=b"secret" * 20)), {"max_request_body_bytes": 100}
    ),
    "max_form_bytes": Scene(
        request_of(plain("/echo", ("Content-Type", FORM), method=b"POST", body=b"a=secret" * 20)),
        {"max_form_bytes": 100},
    ),
    "request_timeout_seconds": Scene(a_body_without_an_end),
    "response_timeout_seconds": Scene(an_answer_that_nobody_reads),
    "max_fragments": Scene(client_sends(frame("", fin=False) + frame("", 0, fin=False) * 2), {"max_fragments": 2}),
    "max_json_depth": Scene(client_sends(message({"secret": [[]]})), {"max_json_depth": 2}),
    "max_json_keys": Scene(client_sends(message({"secret": 1})), {"max_json_keys": 1}),
    "max_message_bytes": Scene(client_sends(message("secret" * 20)), {"max_message_bytes": 100}),
    "max_names": Scene(two_names, {"max_names": 1}),
    "max_groups": Scene(two_groups, {"max_groups": 1}),
    "max_outgoing_bytes": Scene(much_to_say, {"max_outgoing_bytes": 1_000}),
    "max_pending_messages": Scene(functions_that_never_end, {"max_pending_messages": 5}),
    "message_timeout_seconds": Scene(a_message_without_an_end),
    "messages_per_second": Scene(client_sends(message("secret"), message("secret")), {"message_burst": 1}),
    "pending_handshakes": Scene(two_unfinished_requests, {"pending_handshakes": 1}),
    "pong_timeout_seconds": Scene(a_client_that_answers_nothing),
    "send_queue_bytes": Scene(a_client_that_does_not_read, {"send_queue_bytes": 1}),
    "total_inbox_bytes": Scene(functions_that_never_end, {"total_inbox_bytes": 100}),
    "total_queue_bytes": Scene(a_client_that_does_not_read, {"total_queue_bytes": 200}),
}

# Settings that are no limit by themselves: what they mean is counted under another, or nowhere, and why.
NO_LIMITS = {
    "allow_missing_origin": "upgrades_refused",
    "allow_null_origin": "upgrades_refused",
    "allow_sse": "a choice",
    "allowed_origins": "upgrades_refused",
    "bad_messages_window_seconds": "of bad_messages_limit",
    "compression": "a choice",
    "control_frame_burst": "of control_frames_per_second",
    "default_scope": "a choice",
    "duplicate_client_id": "upgrades_refused",
    "fast": "a choice",
    "listen_backlog": "the system's",
    "presence_grace_seconds": "a choice",
    "resume_token_seconds": "a choice",
    "signals_protocol": "a choice",
    "total_history_bytes": "the histories', which tell their clients",
    "message_burst": "of messages_per_second",
    "ping_interval_seconds": "of pong_timeout_seconds",
    "slow_client": "of send_queue_bytes",
    "trusted_proxies": "a choice",
    "unrouted": "messages_unrouted_dropped",
}


@pytest.mark.parametrize("setting", SCENES)
def test_a_limit_acts(setting: str) -> None:
    """S16.7: a limit that acts is counted under its setting and told in one printable line without a payload."""
    scene = SCENES[setting]
    world = BoundedWorld(**scene.settings)
    with capturedLogs() as logs:
        scene.play(world)
    others = {"close_timeout_seconds"} if setting in ("send_queue_bytes", "total_queue_bytes") else set()
    assert world.hit.keys() - others == {setting}
    assert world.hit[setting] == 1
    (line,) = [formatEvent(event) for event in logs if event.get("kind") == setting]
    assert line == printable(line)
    # The operator learns what to set.
    assert line.endswith(f"({setting})")
    assert "secret" not in repr(logs)


def test_it_is_all_of_them() -> None:
    """S16.7: every setting is a limit of the scenes above, or belongs to one, or is a choice."""
    assert sorted([*SCENES, *NO_LIMITS]) == sorted(SETTING_NAMES)


def test_limits_are_settings() -> None:
    """S16.7: each limit that the package counts has the name of a setting, and a scene."""
    named: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named |= limits_in(node)
    assert named == SCENES.keys()


def test_limits_are_counted_in_one_place() -> None:
    """S16.7: a limit is counted where it is written to the log, and nowhere else."""
    counting = [path.name for path in PACKAGE.rglob("*.py") if "limits_hit[" in path.read_text(encoding="utf-8")]
    assert counting == ["reports.py"]


@pytest.mark.parametrize("path", [b"/\x9b2J", b"/\x85"])
def test_paths_are_escaped(path: bytes) -> None:
    """S16.7: the path of a refused upgrade, and of a bad reference, can't end a line or command a terminal."""
    world = World(auto_upgrade=True)
    with capturedLogs() as logs:
        assert world.client().ask(head(path, ("Origin", "http://evil.example"))).status == 403
        assert world.client().ask(plain(path, ("X-PODE-SIGNAL-CLIENT-ID", "nobody"))).status == 400
    kinds = {event["kind"]: formatEvent(event) for event in logs if "kind" in event}
    assert kinds.keys() == {"upgrades_refused", "references_refused"}
    assert all(line == printable(line) and "\\u00" in line for line in kinds.values())


# Where a call has the name of a limit among its arguments.
NAMED_BY = {
    "limit": slice(0, 1),
    "_limit_acts": slice(0, 2),
    "limit_acted": slice(0, 1),
    "_break_limit": slice(0, 1),
    "_read_no_further": slice(1, 2),
    "_too_slow": slice(1, 2),
    "BodyTooLarge": slice(0, 1),
    "MessageInvalid": slice(1, 2),
    "TooManyConnections": slice(1, 2),
}


def limits_in(node: ast.AST) -> set[str]:
    """The limits that a piece of the package names."""
    arguments: list[ast.expr] = []
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "self._broken_limit":
        arguments = [node.value]
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        arguments = node.args[NAMED_BY.get(name, slice(0, 0))]
    texts = {each.value for each in arguments if isinstance(each, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and " " not in text}
