from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from operated import OPERATIONS, Operated, token_file
from prometheus_client.parser import text_string_to_metric_families
from served import fired
from twisted.internet.error import CannotListenError
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from pode_signals import Endpoint, Operations, Signals, SignalsService
from pode_signals.errors import ConfigurationInvalid

SCRAPER = Operations.new_token(label="prometheus", scopes=["metrics"])
READER = Operations.new_token(label="reader", scopes=["read"])
ELSEWHERE = "192.0.2.7"
PUBLIC = Endpoint("http", "*", 8092)


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged."""
    found: list[LogEvent] = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def lines(events: list[LogEvent], level: Any) -> list[str]:
    return [formatEvent(event) for event in events if event["log_level"] is level]


def bearer(text: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {text}")


def started(**more: Any) -> Operated:
    operated = Operated(**more)
    operated.service.startService()
    return operated


def test_nothing_unless_asked_for() -> None:
    """O2.5: a service without operations has no path of theirs, and no port more."""
    from served import Served

    served = Served()
    served.service.startService()
    assert list(served.reactor.listening) == [8091]
    assert served.service.operations is None
    assert served.service.operations_addresses == {}
    for path in (b"/livez", b"/readyz", b"/metrics", b"/signals/metrics"):
        # The application answers each path.
        assert served.talk(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n").value().endswith(b"hello")


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_health_is_for_anybody(path: str) -> None:
    """O2.1: health needs no token and takes any Host, and anybody gets one word and no more."""
    operated = started()
    answer = operated.ask(path, host="203.0.113.9:1", address=ELSEWHERE)
    assert answer.status == 200
    assert answer.data == {"status": "ready" if path == "/readyz" else "live"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


def test_a_probe_whose_token_is_wrong() -> None:
    """O2.1: a probe with a token that is not good gets its one word all the same, and the failure counts."""
    operated = started()
    for path in ("/livez", "/readyz"):
        answer = operated.ask(path, bearer("pst_"))
        assert (answer.status, list(answer.data)) == (200, ["status"])
    assert samples(operated, "pode_signals_api_refused_total")[("unknown",)] == 2


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head(path: str, events: list[LogEvent]) -> None:
    """O2.1: HEAD gets the head of the answer alone, and no warning is logged."""
    operated = started()
    whole, head = operated.ask(path), operated.ask(path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(whole.body))
    assert lines(events, LogLevel.warn) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(method: str, tmp_path: Path) -> None:
    """O3.4: OPTIONS, and each method that a page does not take, is a problem with the methods that it takes."""
    operated = started(tokens=token_file(tmp_path, SCRAPER))
    for path in ("/livez", "/metrics"):
        answer = operated.ask(path, bearer(SCRAPER.text), method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert "access-control-allow-origin" not in answer.headers


def test_a_problem() -> None:
    """O3.5: a refusal is a problem document, with the id of the request, which the log has too."""
    operated = started()
    answer = operated.ask("/metrics", address=ELSEWHERE)
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"
    data = answer.data
    assert (data["type"], data["status"]) == ("urn:pode-signals:problem:token-missing", 401)
    assert data["requestId"] == answer.headers["x-request-id"]
    assert {"title", "detail"} <= data.keys()


def test_a_path_that_is_not_there() -> None:
    """O3.1: a path that is not there is a problem, for a reader on this machine; others are asked for a token first."""
    operated = started()
    assert operated.ask("/metricz").data["type"].endswith(":not-found")
    assert operated.ask("/", address=ELSEWHERE).status == 401


def test_the_metrics(tmp_path: Path) -> None:
    """O1.3: the metrics are for who may scrape: on this machine, or by a token; in the format that is asked for."""
    operated = started(tokens=token_file(tmp_path, SCRAPER, READER))
    answer = operated.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(answer.body.decode())}
    assert {"pode_signals_connections", "pode_signals_ready", "python_info"} <= names
    openmetrics = operated.ask("/metrics", ("Accept", "application/openmetrics-text"), bearer(SCRAPER.text))
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    refused = operated.ask("/metrics", bearer(READER.text), address=ELSEWHERE)
    assert (refused.status, refused.data["needed"]) == (403, "metrics")


def samples(operated: Operated, name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(operated.ask("/metrics").body.decode())
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_what_operations_say_of_themselves(tmp_path: Path) -> None:
    """O1.13: the metrics have the state of the service, whether it is ready, and the refusals by their reasons."""
    operated = started(tokens=token_file(tmp_path, READER))
    operated.ask("/metrics", address=ELSEWHERE)
    operated.ask("/metrics", bearer("pst_"), address=ELSEWHERE)
    operated.ask("/metrics", bearer(READER.text), address=ELSEWHERE)
    refused = samples(operated, "pode_signals_api_refused_total")
    assert {key: value for key, value in refused.items() if value} == {
        ("no_token",): 1,
        ("unknown",): 1,
        ("scope",): 1,
    }
    assert samples(operated, "pode_signals_ready") == {(): 1}
    assert samples(operated, "pode_signals_state") == {("starting",): 0, ("ready",): 1, ("draining",): 0}


def test_a_registry_for_the_program() -> None:
    """O1.1: a program adds collectors of its own once the operations belong to a service."""
    from prometheus_client import Gauge

    operations = Operations(endpoints=[OPERATIONS])
    with pytest.raises(RuntimeError, match="once they are given"):
        _ = operations.registry
    operated = started()
    Gauge("rooms", "Rooms.", registry=operated.operations.registry).set(7)
    assert samples(operated, "rooms") == {(): 7}


def test_requests_of_operators_are_no_traffic() -> None:
    """O2.5: what operators ask is not counted as an answer of the application's ports."""
    operated = started()
    for _ in range(3):
        operated.ask("/metrics")
    assert operated.signals.counters.requests_answered == {}
    assert operated.signals.insight.number("pode_signals_handshakes_pending") == 0


def test_the_access_log(events: list[LogEvent]) -> None:
    """O7.1: what operators read is logged for who looks closely, and the application's requests for everybody."""
    operated = started()
    operated.ask("/livez")
    operated.get()
    found = {event["path"]: event["log_level"] for event in events if event.get("event") == "request.served"}
    assert found == {"/livez": LogLevel.debug, "/": LogLevel.info}


def test_a_refusal_in_the_log(events: list[LogEvent], tmp_path: Path) -> None:
    """O7.4: a refusal is logged with its reason and its request, and without what was shown."""
    operated = started(tokens=token_file(tmp_path, READER))
    answer = operated.ask("/metrics", bearer("pst_secret"), address=ELSEWHERE)
    operated.ask(f"/metrics?x={SCRAPER.text}")
    operated.ask("/metrics", bearer(READER.text))
    found = [event for event in events if event.get("event") == "api.refused"]
    assert [(event["reason"], event["operator"]) for event in found] == [
        ("token-unknown", "-"),
        ("token-in-url", "-"),
        ("scope-missing", "reader"),
    ]
    assert found[0]["request"] == answer.headers["x-request-id"]
    assert not any(secret in repr(events) for secret in ("pst_secret", SCRAPER.text, READER.text))


def test_many_refusals_in_the_log(events: list[LogEvent]) -> None:
    """O3.5: who is refused again and again does not fill the log."""
    operated = started()
    for number in range(50):
        operated.ask("/metrics", address=f"198.51.100.{number}")
    assert len([event for event in events if event.get("event") == "api.refused"]) == 10


@pytest.mark.parametrize(
    "endpoint",
    [
        PUBLIC,
        Endpoint("http", "192.0.2.1", 8092),
        Endpoint("http", listen="tcp:8092"),
        Endpoint("http", listen="tcp:8092:interface=192.0.2.1"),
        Endpoint("http", listen="systemd:domain=INET:name=web"),
    ],
)
def test_a_public_endpoint_needs_tokens(endpoint: Endpoint, tmp_path: Path) -> None:
    """O3.3: an endpoint that others than this machine may reach does not start without a token."""
    for tokens in (None, token_file(tmp_path)):
        operated = Operated(endpoints=[endpoint], tokens=tokens)
        for call in (operated.service.check, operated.service.startService):
            with pytest.raises(ConfigurationInvalid, match="neither a UNIX socket nor on loopback"):
                call()
        assert operated.reactor.listening == {}


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("http", port=8092),
        Endpoint("http", "127.0.0.1", 8092),
        Endpoint("http", "::1", 8092),
        Endpoint("http", listen="unix:/run/chat.socket"),
        Endpoint("http", listen="tcp:8092:interface=127.0.0.1"),
        Endpoint("http", listen="tcp:port=8092:interface=localhost:backlog=5"),
        Endpoint("http", listen=r"tcp:8092:interface=\:\:1"),
    ],
)
def test_a_local_endpoint_needs_none(endpoint: Endpoint) -> None:
    """O3.3: an endpoint that only this machine reaches may do without tokens."""
    from pode_signals.operations.operations import _is_local

    assert _is_local(endpoint)


def test_tokens_in_the_clear(events: list[LogEvent], tmp_path: Path) -> None:
    """O3.3: an endpoint off loopback without TLS is one warning at the start."""
    operated = started(
        endpoints=[Endpoint("http", listen="tcp:8092:interface=192.0.2.1")], tokens=token_file(tmp_path, READER)
    )
    (line,) = lines(events, LogLevel.warn)
    assert line.startswith("tokens come in the clear to the operations endpoint http tcp:8092:interface=192.0.2.1")
    assert operated.service.operations_addresses[operated.operations.endpoints[0]]


def test_a_file_that_others_read(events: list[LogEvent], tmp_path: Path) -> None:
    """O3.7: a file of tokens that others may read is one warning at the start."""
    path = token_file(tmp_path, READER)
    started(tokens=path)
    assert lines(events, LogLevel.warn) == []
    path.chmod(0o640)
    started(tokens=str(path))
    assert lines(events, LogLevel.warn) == [
        f"others than its owner can read or write the file of tokens {path}: chmod 600"
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "No such file"),
        ("label =", r"it is no TOML \(at "),
        (f"[{READER.text}]", "a section is not called by the id of a token"),
        (f"{READER.text}", r"it is no TOML"),
        ("[pst_4kzq2m7ahd3x]\nlabel = 'a'", "pst_4kzq2m7ahd3x: hash has to be"),
    ],
    ids=["absent", "no TOML", "a token as a section", "a token as a key", "no hash"],
)
def test_a_bad_file(text: str | None, sentence: str, tmp_path: Path) -> None:
    """O3.7: a file of tokens that can't be used stops the start in a sentence that names it, and holds no token."""
    path = tmp_path / "tokens.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationInvalid, match=sentence) as caught:
        Operated(tokens=path).service.check()
    assert str(caught.value).startswith(str(path))
    assert READER.text[17:] not in str(caught.value)


def test_tokens_are_read_again(tmp_path: Path, events: list[LogEvent]) -> None:
    """O3.10: a reload takes up another file of tokens, and keeps the old tokens where the file is bad."""
    path = token_file(tmp_path, READER)
    operated = started(tokens=path)
    assert operated.ask("/readyz", bearer(READER.text), address=ELSEWHERE).data["causes"] == []
    assert operated.ask("/metrics", bearer(SCRAPER.text), address=ELSEWHERE).status == 401
    path.write_text(SCRAPER.block)
    operated.service.reload_tokens()
    assert operated.ask("/metrics", bearer(SCRAPER.text), address=ELSEWHERE).status == 200
    assert operated.ask("/metrics", bearer(READER.text), address=ELSEWHERE).status == 401
    path.write_text("nonsense")
    operated.service.reload_tokens()
    assert operated.ask("/metrics", bearer(SCRAPER.text), address=ELSEWHERE).status == 200
    found = [(event["event"], event["log_level"]) for event in events if event.get("event", "").startswith("tokens.")]
    assert found == [("tokens.loaded", LogLevel.info), ("tokens.kept", LogLevel.error)]


def test_a_reload_without_tokens(events: list[LogEvent]) -> None:
    """O3.10: without a file of tokens, or without operations, a reload of tokens does nothing."""
    started().service.reload_tokens()
    Operated(tokens="/no/such/file").service.reload_tokens()
    SignalsService(Signals(), Operated().service._resource, []).reload_tokens()
    assert lines(events, LogLevel.error) == []


@pytest.mark.parametrize("is_on", [True, False])
def test_health_on_the_application(is_on: bool, events: list[LogEvent]) -> None:
    """O2.5: health is answered on the application's ports where that is asked for, and there one line says so."""
    operated = started(health_on_application=is_on)
    answer = operated.ask("/readyz", port=8091)
    assert answer.body == (b'{"status": "ready"}\n' if is_on else b"hello")
    # Loopback says nothing of who asks there, and metrics are not there.
    assert operated.ask("/metrics", port=8091).body == b"hello"
    told = [line for line in lines(events, LogLevel.info) if "before its own routes" in line]
    assert len(told) == is_on


def test_operations_on_the_application(tmp_path: Path) -> None:
    """O3.3: everything is below a prefix on the application's ports where that is asked for; reading takes a token."""
    operated = started(operations_on_application=True, prefix="/ops/chat", tokens=token_file(tmp_path, SCRAPER))
    assert operated.ask("/ops/chat/readyz", port=8091).data == {"status": "ready"}
    assert operated.ask("/ops/chat/metrics", port=8091).status == 401
    assert operated.ask("/ops/chat/metrics", bearer(SCRAPER.text), port=8091).status == 200
    assert operated.ask("/ops/chat/more", port=8091).body == b"hello"
    assert operated.ask("/metrics", port=8091).body == b"hello"
    # The same paths are on the endpoints of the operations.
    assert operated.ask("/ops/chat/metrics").status == 200


def test_operations_on_the_application_without_tokens() -> None:
    """O3.3: nothing of the operations stands on the application's ports without tokens."""
    operated = Operated(operations_on_application=True)
    with pytest.raises(ConfigurationInvalid, match="needs a file of tokens"):
        operated.service.check()


@pytest.mark.parametrize("prefix", ["", "/", "signals", "/a/", "//", "/a b", "/ä", 1])
def test_a_bad_prefix(prefix: Any) -> None:
    """O3.3: a prefix that is no path is refused."""
    with pytest.raises(ConfigurationInvalid, match="prefix has to be a path"):
        Operations(endpoints=[], prefix=prefix)


@pytest.mark.parametrize(
    ("endpoints", "sentence"),
    [
        ([Endpoint("ws", port=8092)], "has to be http or https"),
        (Endpoint("http", port=8092), "endpoints has to be a list of endpoints"),
        ("http://localhost:8092", "endpoints has to be a list of endpoints"),
        (["http://localhost:8092"], "endpoints has a text in place of an endpoint"),
    ],
)
def test_bad_endpoints(endpoints: Any, sentence: str) -> None:
    """O3.3: endpoints that make no sense are refused where the service is made."""
    with pytest.raises(ConfigurationInvalid, match=sentence):
        Operated(endpoints=endpoints)


def test_operations_of_two_services() -> None:
    """O2.5: operations belong to one service, and a service has them once and before it starts."""
    operated = Operated()
    with pytest.raises(ConfigurationInvalid, match="belong to another service"):
        SignalsService(Signals(), operated.service._resource, [], operations=operated.operations)
    with pytest.raises(RuntimeError, match="once, and before it starts"):
        operated.service.operate(Operations(endpoints=[]))


def test_a_taken_port() -> None:
    """O2.4: where a port of the application is taken, the ports of the operations are let go again, and so the other
    way round.
    """
    for taken in (8091, 8092):
        operated = Operated()
        operated.reactor.taken.add(taken)
        with pytest.raises(CannotListenError):
            operated.service.startService()
        assert operated.reactor.listening == {}
        operated.reactor.taken.clear()
        operated.service.startService()
        assert set(operated.reactor.listening) == {8091, 8092}
        assert operated.ready() == (200, "ready")
        assert fired(operated.service.stopService())
