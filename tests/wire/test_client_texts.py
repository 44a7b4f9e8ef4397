"""The texts that clients of ``pode.signals.v1`` send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from v1_schema import CLIENT_FRAME

from pode_signals.core.model import ClientMessage
from pode_signals.wire.client_frames import Ack, Beat, Refresh, Send, Watch, read_frame
from pode_signals.wire.client_texts import BEAT, ack_text, refresh_text, send_text, watch_text
from pode_signals.wire.session import may_overtake


def read(text: bytes) -> Any:
    """How the server reads a text; it is valid by the schema, and its type comes first, without white space."""
    CLIENT_FRAME.validate(json.loads(text))
    assert text.startswith(b'{"type":"')
    return read_frame(text, max_depth=32, max_keys=1_000)


def test_sends() -> None:
    """P23: what is written of a message is read with its id and whom it is for."""
    assert read(send_text({"seat": "4A"})) == Send(ClientMessage({"seat": "4A"}))
    assert read(send_text("soup", id="7", path="/menu", direct=True)) == Send(
        ClientMessage("soup", path="/menu", direct=True), "7"
    )
    several = read(send_text(0, group=("kitchen", "attic"), client_id=["ada", 7])).said
    assert (
        several
        == read_frame(
            b'{"type":"send","message":0,"group":["kitchen","attic"],"clientId":["ada",7]}', max_depth=9, max_keys=9
        ).said
    )  # type: ignore[union-attr]


def test_the_short_ones() -> None:
    """P35: an ack, a beat and a refresh begin so that the server reads them before messages that wait."""
    assert read(ack_text("n7.12")) == Ack("n7.12")
    assert read(BEAT) == Beat()
    assert read(refresh_text("r1", "secret")) == Refresh("r1", "secret")
    assert read(watch_text(True)) == Watch(True)
    assert read(watch_text(False)) == Watch(False)
    assert all(may_overtake(text) for text in (ack_text("1"), BEAT, refresh_text("1", "t")))


@pytest.mark.parametrize("message", [None, float("nan"), "\ud800"])
def test_what_can_not_be_sent(message: object) -> None:
    """P14: a message that has no JSON form is a ValueError, and None is no message."""
    with pytest.raises(ValueError, match=r"data|message|JSON"):
        send_text(message)
