"""Short runs of the fuzzer on every target; ``run.py`` makes long ones. The same seed gives the same inputs.

``PODE_SIGNALS_FUZZ_EXECUTIONS=100000`` takes so many, ``PODE_SIGNALS_FUZZ_SEED`` another seed.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from fuzz import text_targets
from fuzz.frame_target import FrameStream
from fuzz.mutator import MAX_BYTES, Mutator
from fuzz.run import fuzz, main
from fuzz.target import Target
from fuzz.targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st
from web_fakes import frame

EXECUTIONS = int(os.environ.get("PODE_SIGNALS_FUZZ_EXECUTIONS", "3000"))
SEED = int(os.environ.get("PODE_SIGNALS_FUZZ_SEED", "1"))

# Frames are quick to read, and there are many ways to be wrong.
EXECUTIONS_OF = {"signals frame": max(10_000, EXECUTIONS)}

# What has to come up in so many inputs, or the mutations are none that matter.
EXPECTED = {
    "handshake head": {"101", "400", "405", "426", "505"},
    "frame stream": {"stays open", *(f"closed with {code}" for code in (1000, 1002, 1003, 1007, 1008, 1009))},
    "client message": {
        "a message",
        "the message is not JSON",
        "the message is not UTF-8",
        "the message has NaN or Infinity, which JSON does not know",
        "the message has a lone surrogate",
        "the message is nested too deep",
        "the message has too many keys",
        "there is no message",
    },
    "signals frame": {
        *("waits", "send", "ack", "beat", "refresh", "presence"),
        *("bad_frame", "unknown_type", "refused"),
    },
    "signed id": {"accepted", "refused", "no UTF-8"},
    "reference headers": {"found", "refused", "no reference"},
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_escapes(target: type[Target]) -> None:
    """S2.2, S5.8, S8.5, S15.1, S16.8, P9: whatever bytes come, no exception leaves an entry point; its rules hold."""
    executions = EXECUTIONS_OF.get(target.name, EXECUTIONS)
    report = fuzz(target, executions, SEED)
    assert [finding.what for finding in report.findings] == []
    assert report.executions == executions
    assert report.outcomes.keys() >= EXPECTED[target.name]


class TestTheFuzzer:
    def test_a_seed_repeats_itself(self) -> None:
        """A seed gives the same inputs again, another seed gives others."""

        def inputs(seed: int) -> list[bytes]:
            mutator = Mutator(Random(seed), (b"abc", b"defgh"), (b"x", b"yz"))
            return [mutator.next() for _ in range(200)]

        assert inputs(1) == inputs(1) != inputs(2)
        assert len(set(inputs(1))) > 150
        assert all(len(each) <= MAX_BYTES for each in inputs(1))

    def test_it_finds_what_raises(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """An exception that leaves an entry point is found, reported with its input, and told by the exit status."""

        def careless(payload: bytes, **_limits: int) -> None:
            if b"}}" in payload:
                raise LookupError("careless")

        monkeypatch.setattr(text_targets, "decode_client_message", careless)
        report = fuzz(text_targets.ClientMessages, 2_000, 1)
        assert report.findings
        assert any("careless" in finding.what and b"}}" in finding.data for finding in report.findings)
        assert main(["--executions", "200", "--target", "client message"]) == 1
        assert "finding" in capsys.readouterr().out

    def test_it_finds_what_is_logged(self) -> None:
        """A failure that is logged and goes no further is found as well: of frames that a callback can't take."""

        class Careless(FrameStream):
            """One of its callbacks raises."""

            def __init__(self) -> None:
                super().__init__()
                for _, *factories in self._hubs:
                    for factory in factories:
                        factory.protocol = type("Careless", (factory.protocol,), {"onPing": None})

        assert fuzz(Careless, 200, 1).findings

    def test_it_finds_what_is_accepted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An id that is accepted although nobody signed it is found."""
        monkeypatch.setattr(text_targets.Signer, "verify", lambda *_: True)
        assert fuzz(text_targets.SignedIds, 200, 1).findings


FRAMES = st.builds(
    frame,
    st.binary(max_size=80)
    | st.sampled_from([b'{"message": 1}', b"\xe2\x82", b"\xac", b"\x03\xe8", b"\x03\xe8\xff", b""]),
    st.sampled_from([0, 0, 1, 1, 1, 2, 8, 9, 10]) | st.integers(0, 15),
    fin=st.sampled_from([True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 0, 4]) | st.integers(0, 7),
    masked=st.sampled_from([True] * 9 + [False]),
)
STREAM = FrameStream()


@settings(deadline=None, max_examples=150)
@given(st.lists(FRAMES, max_size=12).map(b"".join), st.integers(0, 1))
def test_frames_of_any_kind(data: bytes, compression: int) -> None:
    """S6.1, S16.8: any sequence of frames, good and bad ones, has the same end whole and byte by byte."""
    STREAM.run(data, compression)
