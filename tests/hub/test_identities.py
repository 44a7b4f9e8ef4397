from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

import pytest
from fakes import FakeRequest, connect, connected, new_signals, timers, turn
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, eventAsText
from werkzeug.exceptions import HTTPException

from pode_signals import Scope, SignalEvent, Signals
from pode_signals.core import signing
from pode_signals.errors import ClientIdInvalid, NameInvalid, SigningInUse

SECRET = "a secret of thirty-two bytes or so"
OTHER_SECRET = "another secret of thirty-two bytes"


def signed(client_id: str, secret: str = SECRET) -> str:
    """An id as Pode signs it, made without the code under test."""
    digest = hmac.new(secret.encode(), client_id.encode(), hashlib.sha256).digest()
    return f"s:{client_id}.{b64encode(digest).decode()}"


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


def in_an_event(signals: Signals, call: Callable[[], Any], **details: Any) -> Any:
    """What a call gives within the signal event of a connection."""
    found: list[Any] = []

    def route(_event: SignalEvent) -> None:
        try:
            found.append(call())
        except ValueError as error:
            found.append(error)

    signals.add_route("/event", route, if_exists="overwrite")
    connected(signals, "Event", path="/event", **details).says("x")
    if isinstance(found[0], ValueError):
        raise found[0]
    return found[0]


class TestUnsigned:
    def test_random_ids(self) -> None:
        """S2.4: an id that is not given is a random version-4 UUID, from the random source that was injected."""
        ids = [Signals(clock=Clock(), random=Random(seed)).new_client_id() for seed in (1, 1, 2)]
        assert all(UUID(client_id).version == 4 for client_id in ids)
        assert ids[0] == ids[1] != ids[2]
        signals = Signals(clock=Clock())
        assert len({signals.new_client_id() for _ in range(100)}) == 100

    def test_given_ids(self, signals: Signals) -> None:
        """S8.4: with signing off a given id stays as it is; one that starts with s: is invalid, signed or not."""
        assert connect(signals, client_id="me").client_id == signals.new_client_id("me") == "me"
        assert signals.new_client_id(7) == "7"
        for bad in ("s:me", signed("me"), "s:"):
            for call in (lambda: connect(signals, client_id=bad), lambda: signals.new_client_id(bad)):  # noqa: B023
                with pytest.raises(ClientIdInvalid) as raised:
                    call()
                assert not isinstance(raised.value, HTTPException)
            assert not signals.is_client_id_valid(bad)

    @pytest.mark.parametrize("bad", ["", "x" * 129, "a\nb", "a\0", "\x7f"])
    def test_names(self, signals: Signals, bad: str) -> None:
        """S2.2: a name, group or client id that is empty, over 128 characters or has control characters is
        NameInvalid, a ValueError.
        """
        for arguments in ({"name": bad}, {"name": "Msg", "group": bad}, {"name": "Msg", "client_id": bad}):
            with pytest.raises(NameInvalid) as raised:
                connect(signals, **arguments)  # type: ignore[arg-type]
            assert isinstance(raised.value, ValueError)
            assert not isinstance(raised.value, HTTPException)
        with pytest.raises(NameInvalid):
            signals.new_client_id(bad)
        assert not signals.is_client_id_valid(bad)
        assert signals.open_connections() == ()

    def test_the_longest_id(self, signals: Signals) -> None:
        """S2.2: 128 characters are good for the bare id, so that its signature may make it longer."""
        assert connect(signals, client_id="x" * 128).client_id == "x" * 128
        assert signals.is_client_id_valid("x" * 128)
        for client in signals.connections("Msg"):
            client.close()
        turn(signals)
        signals.enable_signing(SECRET)
        assert connect(signals, client_id="x" * 128).client_id == signed("x" * 128)
        with pytest.raises(NameInvalid):
            connect(signals, client_id="x" * 129)

    def test_questions(self, signals: Signals) -> None:
        """S8.5: with signing off no id is signed, and any good one is valid."""
        assert not signals.is_signing
        assert not signals.is_client_id_signed("me")
        assert not signals.is_client_id_signed(signed("me"))
        assert signals.is_client_id_valid("me")


class TestSigned:
    def test_every_id_is_signed(self, signals: Signals) -> None:
        """S8.4: with signing on every id is signed, made here or given; one that is signed already stays as it is."""
        signals.enable_signing(SECRET)
        assert signals.is_signing
        assert signals.new_client_id("me") == connect(signals, client_id="me").client_id == signed("me")
        assert signals.new_client_id(7) == signed("7")
        assert signals.new_client_id(signed("me")) == signed("me")
        assert connect(signals, "Other", client_id=signed("me")).client_id == signed("me")
        random_id = connect(signals).client_id
        bare = random_id[2:].rpartition(".")[0]
        assert (UUID(bare).version, random_id) == (4, signed(bare))

    def test_with_podes_own_example(self, signals: Signals) -> None:
        """S8.4: ids that Pode signed are taken."""
        with capturedLogs():
            signals.enable_signing("super-secret")
        bare = "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"
        podes = f"s:{bare}.8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg="
        assert connect(signals, client_id=podes).client_id == podes == signals.new_client_id(bare)

    def test_bad_signatures(self, signals: Signals) -> None:
        """S8.4: a given id that is signed must be validly so, else ClientIdInvalid, before anything is open."""
        signals.enable_signing(SECRET)
        good = signed("me")
        for bad in (good[:-1], good + "=", signed("me", OTHER_SECRET), good.replace("me", "you"), "s:me", "s:", "s:."):
            with pytest.raises(ClientIdInvalid):
                connect(signals, client_id=bad)
            with pytest.raises(ClientIdInvalid):
                signals.new_client_id(bad)
            assert not signals.is_client_id_signed(bad)
            assert not signals.is_client_id_valid(bad)
        assert signals.open_connections() == ()

    def test_signatures_do_not_make_names_good(self, signals: Signals) -> None:
        """S2.2: the bare id of a signed one is checked too: whoever signed it, we would not issue it."""
        signals.enable_signing(SECRET)
        for bad in ("a\nb", "x" * 129):
            with pytest.raises(NameInvalid):
                connect(signals, client_id=signed(bad))
            assert not signals.is_client_id_valid(signed(bad))

    def test_questions(self, signals: Signals) -> None:
        """S8.5: an id is signed or valid, with signing on, where its signature holds."""
        signals.enable_signing(SECRET)
        assert signals.is_client_id_signed(signed("me"))
        assert signals.is_client_id_valid(signed("me"))
        assert not signals.is_client_id_signed("me")
        assert not signals.is_client_id_valid("me")
        assert signals.is_client_id_signed(signed("a.b"))

    def test_other_texts_of_a_signature(self, signals: Signals) -> None:
        """S8.5: it is the signature's text that is compared: others that decode to the same bytes are none."""
        signals.enable_signing(SECRET)
        good = signed("me")
        last = good[-2]
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        group = alphabet.index(last) // 4 * 4
        for twin in alphabet[group : group + 4]:
            assert signals.is_client_id_signed(f"{good[:-2]}{twin}=") is (twin == last)

    def test_constant_time(self, signals: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
        """S8.5: signatures are compared in constant time, once for each secret."""
        calls: list[tuple[bytes, bytes]] = []
        compare = hmac.compare_digest

        def counting(first: bytes, second: bytes) -> bool:
            calls.append((first, second))
            return compare(first, second)

        signals.enable_signing([SECRET, OTHER_SECRET])
        # It only looks on: that a comparison takes the same time for each shows nowhere else.
        monkeypatch.setattr(signing.hmac, "compare_digest", counting)
        assert signals.is_client_id_signed(signed("me"))
        assert len(calls) == 2

    def test_addressing_uses_the_issued_id(self, signals: Signals) -> None:
        """S2.4: registry and addressing use the id as issued; duplicates too."""
        signals.enable_signing(SECRET)
        old = connected(signals, client_id="me")
        signals.send("bare", name="Msg", client_id="me")
        signals.send("issued", name="Msg", client_id=signed("me"))
        assert old.got == ["issued"]
        assert signals.connection("Msg", signed("me")) is old.connection
        new = connected(signals, client_id=signed("me"))
        assert signals.connections("Msg") == (new.connection,)


class TestSecrets:
    def test_rotation(self, signals: Signals) -> None:
        """S8.3: of several secrets the first signs and each verifies."""
        signals.enable_signing([SECRET, OTHER_SECRET])
        assert signals.new_client_id("me") == signed("me", SECRET)
        assert signals.is_client_id_valid(signed("me", OTHER_SECRET))
        assert connect(signals, client_id=signed("me", OTHER_SECRET)).client_id == signed("me", OTHER_SECRET)
        assert not signals.is_client_id_valid(signed("me", "a third secret of thirty-two bytes"))

    def test_bytes(self, signals: Signals) -> None:
        """S8.1: a text secret is its UTF-8."""
        signals.enable_signing("ein Geheimnis für 32 Bytes, so etwa".encode())
        first = signals.new_client_id("me")
        signals.disable_signing()
        signals.enable_signing("ein Geheimnis für 32 Bytes, so etwa")
        assert signals.is_client_id_signed(first)

    @pytest.mark.parametrize("secret", ["", b"", [], [SECRET, ""]])
    def test_empty(self, signals: Signals, secret: Any) -> None:
        """S8.3: an empty secret is refused, and nothing changes."""
        signals.enable_signing(SECRET)
        with pytest.raises(ValueError, match="secret"):
            signals.enable_signing(secret)
        assert signals.new_client_id("me") == signed("me")

    def test_weak(self, signals: Signals) -> None:
        """S8.3: under 32 bytes there is one warning, without the secret; it works."""
        with capturedLogs() as logs:
            signals.enable_signing(["super-secret", "another", SECRET])
            signals.new_client_id("me")
            connect(signals)
        warnings = [event for event in logs if event["log_level"] is LogLevel.warn]
        assert len(warnings) == 1
        assert "super-secret" not in str(warnings)
        with capturedLogs() as logs:
            new_signals().enable_signing("€" * 10 + "ab")
        assert [event for event in logs if event["log_level"] is LogLevel.warn] == []

    def test_default_secret(self, signals: Signals) -> None:
        """S8.1: default_secret is random, made at the start, stays, and is long enough."""
        assert signals.default_secret == signals.default_secret != new_signals().default_secret
        with capturedLogs() as logs:
            signals.enable_signing(signals.default_secret)
        assert [event for event in logs if event["log_level"] is LogLevel.warn] == []

    @pytest.mark.parametrize("scope", Scope)
    def test_only_while_nobody_is_connected(self, signals: Signals, scope: Scope) -> None:
        """S8.1: signing is enabled and disabled only while no connection is open, of whatever scope; a closing one
        still counts.
        """
        client = connected(signals, scope=scope, answers_close=False)
        for call in (lambda: signals.enable_signing(SECRET), signals.disable_signing):
            with pytest.raises(SigningInUse):
                call()
        client.connection.close()
        with pytest.raises(SigningInUse):
            signals.enable_signing(SECRET)
        client.vanishes()
        signals.enable_signing(SECRET)
        again = connected(signals, scope=scope)
        with pytest.raises(SigningInUse):
            signals.disable_signing()
        assert signals.is_signing
        again.vanishes()
        signals.disable_signing()
        assert signals.new_client_id("me") == "me"


class TestStrict:
    AGENT = "Mozilla/5.0 (tests)"

    @pytest.fixture
    def signals(self) -> Signals:
        """Signing strictly, behind one trusted proxy."""
        signals = new_signals(trusted_proxies=["10.0.0.0/8"])
        signals.enable_signing(SECRET, strict=True)
        return signals

    def strictly(self, client_id: str, agent: str, address: str) -> str:
        return signed(client_id, f"{SECRET};{agent};{address}")

    def test_conversion(self, signals: Signals) -> None:
        """S8.2: in strict mode the secret is ``<secret>;<User-Agent>;<IP address>`` of the client."""
        client = connect(signals, client_id="me", headers=[("User-Agent", self.AGENT)], address="192.0.2.1")
        assert client.client_id == self.strictly("me", self.AGENT, "192.0.2.1")
        given = self.strictly("you", self.AGENT, "192.0.2.1")
        again = connect(signals, client_id=given, headers=[("User-Agent", self.AGENT)], address="192.0.2.1")
        assert again.client_id == given
        for agent, address in ((self.AGENT, "192.0.2.2"), ("other", "192.0.2.1"), ("", "192.0.2.1")):
            with pytest.raises(ClientIdInvalid):
                connect(signals, client_id=given, headers=[("User-Agent", agent)], address=address)

    def test_no_agent(self, signals: Signals) -> None:
        """S8.2: no User-Agent is empty."""
        assert connect(signals, client_id="me").client_id == self.strictly("me", "", "192.0.2.1")
        assert signals.new_client_id("me", FakeRequest()) == self.strictly("me", "", "192.0.2.1")

    @pytest.mark.parametrize(
        ("socket", "forwarded", "address"),
        [
            ("192.0.2.1", [], "192.0.2.1"),
            ("::ffff:192.0.2.1", [], "192.0.2.1"),
            ("2001:DB8::0001", [], "2001:db8::1"),
            ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),
            ("10.1.2.3", ["203.0.113.5"], "203.0.113.5"),
            ("10.1.2.3", ["198.51.100.9, 203.0.113.5, 10.9.9.9"], "203.0.113.5"),
            ("10.1.2.3", ["198.51.100.9", "203.0.113.5"], "203.0.113.5"),
            ("::ffff:10.1.2.3", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ],
    )
    def test_addresses(self, signals: Signals, socket: str | None, forwarded: list[str], address: str) -> None:
        """S8.2: the address is the socket's, or the right-most untrusted one of X-Forwarded-For when the socket is a
        trusted proxy; IPv4-mapped ones become IPv4.
        """
        request = FakeRequest([("X-Forwarded-For", line) for line in forwarded], socket)
        assert signals.client_address(request) == address
        client_id = signals.new_client_id("me", request)
        assert client_id == self.strictly("me", "", address)
        assert signals.is_client_id_signed(client_id, request)
        assert signals.is_client_id_valid(client_id, request)

    @pytest.mark.parametrize("agents", [["one"], ["one", "two"], ["für"], ["caf\xe9\xa0"], [" padded "]])
    def test_request_and_conversion_agree(self, signals: Signals, agents: list[str]) -> None:
        """S8.2: an id that was made for a request is good for its conversion, whatever its User-Agent is."""
        headers = [("User-Agent", agent) for agent in agents]
        client_id = signals.new_client_id("me", FakeRequest(headers))
        assert connect(signals, client_id=client_id, headers=headers).client_id == client_id

    def test_within_an_event(self, signals: Signals) -> None:
        """S8.2: without a request the current event's counts."""
        details = {"headers": [("User-Agent", self.AGENT)], "address": "192.0.2.9"}
        client_id = in_an_event(signals, lambda: signals.new_client_id("me"), **details)
        assert client_id == self.strictly("me", self.AGENT, "192.0.2.9")
        assert in_an_event(signals, lambda: signals.is_client_id_valid(client_id), **details)
        assert in_an_event(signals, lambda: signals.is_client_id_signed(client_id), **details)
        assert not in_an_event(signals, lambda: signals.is_client_id_signed(client_id), address="192.0.2.8")
        stranger = FakeRequest([("User-Agent", self.AGENT)], "192.0.2.10")
        assert not in_an_event(signals, lambda: signals.is_client_id_signed(client_id, stranger), **details)

    def test_without_either(self, signals: Signals) -> None:
        """S8.2: without a request and a current event it is a ValueError."""
        for call in (
            signals.new_client_id,
            lambda: signals.new_client_id("me"),
            lambda: signals.is_client_id_signed(signed("me")),
            lambda: signals.is_client_id_valid(signed("me")),
        ):
            with pytest.raises(ValueError, match="request or a current event"):
                call()
        assert timers(signals) == []

    def test_within_the_event_of_another_hub(self, signals: Signals) -> None:
        """S8.2: the event of another hub is not a current event."""
        with pytest.raises(ValueError, match="request or a current event"):
            in_an_event(new_signals(), lambda: signals.new_client_id("me"))

    def test_not_strict_any_more(self, signals: Signals) -> None:
        """S8.2: strictness is enabled and disabled with signing."""
        signals.enable_signing(SECRET)
        assert signals.new_client_id("me") == signed("me")

    def test_rotation(self, signals: Signals) -> None:
        """S8.3: each of several secrets verifies strictly too."""
        signals.enable_signing([OTHER_SECRET, SECRET], strict=True)
        old = self.strictly("me", "", "192.0.2.1")
        assert signals.is_client_id_signed(old, FakeRequest())
        assert signals.new_client_id("me", FakeRequest()) == signed("me", f"{OTHER_SECRET};;192.0.2.1")


def test_signed_ids_in_the_log(signals: Signals) -> None:
    """S8.1: whatever is logged or shown of a connection has its id without the signature, tracebacks included."""
    signals.enable_signing(SECRET)
    seen: list[Any] = []

    def raises(event: Any) -> None:
        seen.extend([event, event.connection])
        raise LookupError(f"of {event.connection.client_id}")

    signals.on_connect("Msg")(raises)
    signals.on_disconnect("Msg")(raises)
    signals.add_route("/ws", raises)
    with capturedLogs() as logs:
        client = connected(signals, client_id="me")
        client.says("good")
        client.writes(b"bad")
        client.connection.send("x" * 100, key=None)
        client.raises = LookupError("of the wire")
        client.connection.send("y")
        client.vanishes()
        turn(signals)
    signature = client.client_id.rpartition(".")[2]
    texts = [eventAsText(event) for event in logs]
    assert len(texts) >= 5
    assert all("me" in text for text in texts)
    assert len(seen) == 6
    assert not any(signature in text for text in [*texts, *map(repr, seen)])
