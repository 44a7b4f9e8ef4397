"""Every example, started as its docstring says and talked to as its clients would."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import websocket
from programs import EXAMPLES, Program, free_port, running, start

SECONDS = 15


def connect(program: Program, path: str) -> websocket.WebSocket:
    """A plain client."""
    return websocket.create_connection(f"ws://localhost:{program.port}{path}", timeout=SECONDS)


def say(client: websocket.WebSocket, message: object, **said: object) -> None:
    """A message as pages send it."""
    client.send(json.dumps({"message": message, **said}))


def http(program: Program, path: str, body: bytes | None = None) -> tuple[int, str]:
    """The status and the text of an HTTP answer; with a body it is a POST."""
    try:
        with urllib.request.urlopen(f"http://localhost:{program.port}{path}", body, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8")


def test_every_example_is_tested() -> None:
    """S0.1: no example is without a test here or in the browser."""
    tests = Path(__file__).read_text(encoding="utf-8")
    for name in ("test_example_pages.py", "test_several_nodes.py"):
        tests += (Path(__file__).parent / "integration" / name).read_text(encoding="utf-8")
    examples = {path.stem for path in EXAMPLES.glob("*.py")}
    assert len(examples) >= 6
    assert not {name for name in examples if not re.search(rf'running\(\s*"{name}:|"{name}\.py"', tests)}


def test_pages_fit_phones_and_the_dark() -> None:
    """S0.1: each page of an example is as wide as the screen, and dark where the reader wants that."""
    pages = 0
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        count = text.count("<!doctype html>")
        pages += count
        wanted = ('charset="utf-8"', 'name="viewport"', "color-scheme")
        assert [text.count(each) for each in wanted] == [count] * 3, path
    assert pages > 8


def test_chat(tmp_path: Path) -> None:
    """S0.1: chat.py serves its page, sends a message to every client, and logs who comes and goes."""
    with running("chat:service", tmp_path) as program:
        assert "<title>Chat</title>" in http(program, "/")[1]
        one, other = connect(program, "/msg"), connect(program, "/msg")
        say(one, "hello")
        assert [json.loads(client.recv()) for client in (one, other)] == [{"message": "hello"}] * 2
        one.close()
        other.close()
    assert program.text().count("] connected ") == 2
    assert program.text().count("] disconnected ") == 2


def test_response_times(tmp_path: Path) -> None:
    """S4.2: response_times.py feeds a name with what a periodic service has to say."""
    with running("response_times:service", tmp_path) as program:
        client = connect(program, "/response-times")
        assert http(program, "/work")[0] == 200
        while not (durations := json.loads(client.recv())["Durations"]):
            pass
        assert durations[0] > 0
        client.close()


def test_local_scope(tmp_path: Path) -> None:
    """S3.2: local_scope.py sends from the route alone, and its end closes the connection with 1000."""
    with running("local_scope:service", tmp_path) as program:
        client = connect(program, "/progress")
        assert [json.loads(client.recv())["percent"] for _ in range(3)] == [0, 50, 100]
        opcode, payload = client.recv_data()
        assert (opcode, payload) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8")
        client.shutdown()


def test_groups_and_levels(tmp_path: Path) -> None:
    """S7.2: groups_and_levels.py keeps what is said within a room, and refuses a send to all of them."""
    with running("groups_and_levels:service", tmp_path) as program:
        cook, guest, sleeper = (connect(program, f"/rooms/{room}") for room in ("kitchen", "kitchen", "attic"))
        say(cook, "tea?")
        assert json.loads(cook.recv()) == json.loads(guest.recv()) == {"room": "kitchen", "said": "tea?"}
        assert http(program, "/announce", b"")[0] == 409
        say(sleeper, "quiet")
        assert json.loads(sleeper.recv()) == {"room": "attic", "said": "quiet"}
        for client in (cook, guest, sleeper):
            client.close()


def speak(program: Program, path: str, *resume: str) -> tuple[websocket.WebSocket, dict[str, Any]]:
    """A client of ``pode.signals.v1``, and its first frame; with a resume text it comes back."""
    offers = ["pode.signals.v1", *(f"pode.resume.{each}" for each in resume)]
    url = f"ws://localhost:{program.port}{path}"
    client = websocket.create_connection(url, timeout=SECONDS, subprotocols=offers)
    return client, heard(client)


def heard(client: websocket.WebSocket) -> dict[str, Any]:
    """The next frame of the server."""
    frame: dict[str, Any] = json.loads(client.recv())
    return frame


def ask(client: websocket.WebSocket, message: object, id: str = "1") -> dict[str, Any]:
    """The answer to a message; frames before the answer are passed over."""
    client.send(json.dumps({"type": "send", "id": id, "message": message}))
    while (frame := heard(client)).get("id") != id:
        pass
    return frame


def test_rpc(tmp_path: Path) -> None:
    """P25, P26: rpc.py books a seat and says so in the reply, and refuses a seat that is taken or is none."""
    with running("rpc:service", tmp_path) as program:
        assert "<title>Seats</title>" in http(program, "/")[1]
        one, hello = speak(program, "/seats")
        assert (hello["type"], hello["name"]) == ("hello", "Seats")
        assert ask(one, {"seat": "2B"})["data"] == {"booked": "2B", "left": 8}
        other, _ = speak(program, "/seats")
        assert heard(other)["data"] == {"taken": ["2B"]}
        assert ask(other, {"seat": "2B"}) == {
            "type": "error",
            "id": "1",
            "code": "app.seat_taken",
            "text": "This seat is taken.",
        }
        for message in ({"seat": "9Z"}, {"seat": ["2B"]}, "2B"):
            assert ask(other, message)["code"] == "app.no_such_seat"
        one.close()
        other.close()


def test_rooms(tmp_path: Path) -> None:
    """P36, P47, P89: rooms.py has clients join and leave on one socket; one that comes back is in its rooms, and gets
    what was said meanwhile.
    """
    with running("rooms:service", tmp_path) as program:
        one, hello = speak(program, "/rooms")
        other, _ = speak(program, "/rooms")
        assert ask(one, {"say": "hi", "room": "kitchen"})["code"] == "app.not_understood"
        assert ask(one, {"join": "attic"})["code"] == "app.not_invited"
        one.send('{"type": "send", "message": {"join": "kitchen"}}')
        hello = heard(one)
        assert (hello["type"], hello["groups"]) == ("hello", ["kitchen"])
        one.shutdown()
        assert ask(other, {"join": "kitchen"})["data"] is None
        assert ask(other, {"say": "soup", "room": "kitchen"})["type"] == "reply"
        back, again = speak(program, "/rooms", f"{hello['epoch']}.{hello['offset']}.{hello['resumeToken']}")
        assert (again["recovered"], again["groups"], again["clientId"]) == (True, ["kitchen"], hello["clientId"])
        missed = heard(back)
        assert (missed["data"], missed["group"]) == ({"text": "soup"}, "kitchen")
        assert ask(back, {"leave": "kitchen"})["data"] is None
        assert ask(back, {"say": "hi", "room": "kitchen"})["code"] == "app.not_understood"
        back.close()
        other.close()


def test_signed_ids(tmp_path: Path) -> None:
    """S8.4: signed_ids.py hands out ids that address one client, and takes none that it did not sign."""
    with running("signed_ids:service", tmp_path) as program:
        one, other = connect(program, "/inbox"), connect(program, "/inbox")
        client_id, other_id = (json.loads(client.recv())["clientId"] for client in (one, other))
        assert client_id.startswith("s:")
        assert write(program, client_id, "hello") == (200, "recipients: 1\n")
        assert json.loads(one.recv()) == {"text": "hello"}
        forged = other_id.rpartition(".")[0] + "." + client_id.rpartition(".")[2]
        assert write(program, forged, "spam")[0] == 400
        assert write(program, other_id, "and you") == (200, "recipients: 1\n")
        assert json.loads(other.recv()) == {"text": "and you"}
        one.close()
        other.close()


def write(program: Program, to: str, text: str) -> tuple[int, str]:
    """The request that the docstring of signed_ids.py shows."""
    return http(program, "/write", urllib.parse.urlencode({"to": to, "text": text}).encode("ascii"))


def test_embedded(tmp_path: Path) -> None:
    """S12.3: embedded.py adds signals to a service and a Site that exist, in ten lines of code, and both serve."""
    source = (EXAMPLES / "embedded.py").read_text(encoding="utf-8")
    added = source.partition("# signals from here\n")[2].partition("# to here")[0]
    assert 0 < len([line for line in added.splitlines() if line.strip()]) <= 10
    port = free_port()
    (tmp_path / "embedded.py").write_text(source.replace("tcp:8091:", f"tcp:{port}:"), encoding="utf-8")
    program = start(["-y", "embedded.py"], port, tmp_path / "twistd.log", cwd=tmp_path)
    try:
        assert http(program, "/about")[1].startswith("An application")
        client = connect(program, "/news")
        assert http(program, "/publish", "extra ✓".encode()) == (200, "recipients: 1\n")
        assert client.recv() == "extra ✓"
        client.close()
    finally:
        program.stop()
    assert "Traceback" not in program.text()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_docstring_tells_how_to_run_it(path: Path) -> None:
    """S0.1: an example's docstring has the command that runs it."""
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert re.search(rf"\n    (?:twistd -ny? .*|python )\b{path.stem}\b", docstring)
