from __future__ import annotations

from binascii import crc_hqx
from typing import Any

import pytest

from pode_signals.backplane.redis.keys import Keys
from pode_signals.backplane.redis.slots import SLOTS, Master, SlotMap, SlotsUnknown, read_slots, slot_of

A, B = (Master(host, 6_379) for host in ("10.0.0.1", "10.0.0.2"))


def of(host: Any, port: int = 6_379) -> list[Any]:
    """A node as CLUSTER SLOTS has it since Redis 7.0."""
    return [host, port, b"07c3", [b"hostname", b"redis-1.example"]]


def test_the_check_value_of_the_specification() -> None:
    """S17.1: the slot of a key is its CRC16/XMODEM, whose check value is 0x31c3 for the digits, modulo 16,384."""
    assert slot_of(b"123456789") == 0x31C3 % SLOTS
    # As a Redis 7.0 answers to CLUSTER KEYSLOT.
    assert [slot_of(key) for key in ("foo", "bar", b"", "ü")] == [12_182, 5_061, 0, 9_552]


@pytest.mark.parametrize(
    ("key", "same"),
    [
        ("{user1000}.following", "user1000"),
        ("foo{}{bar}", None),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo{bar", None),
        ("foo}bar{a}", "a"),
    ],
)
def test_hash_tags(key: str, same: str | None) -> None:
    """S17.1: of a key with a hash tag the tag alone counts; an empty one is none."""
    assert slot_of(key) == crc_hqx((key if same is None else same).encode(), 0) % SLOTS


def test_the_keys_of_a_name() -> None:
    """S17.1: what scripts need at once is in one slot: a name's log, hash and channel; and all that is of the nodes."""
    keys = Keys("pode")
    for name in ("Room", "a:{b}/ü", "{}", "}{"):
        assert len({slot_of(key) for key in (*keys.log(name), keys.channel(name))}) == 1
        assert {slot_of(key) for key in (*keys.members(name), keys.nodes, keys.node_channel("f3a0"))} == {
            slot_of("nodes")
        }


def test_a_map() -> None:
    """S17.1: the map says for each slot who has it; replicas do not count."""
    answer = [
        [8_192, 16_383, of(b"10.0.0.2")],
        [0, 99, of(b"10.0.0.1"), of(b"10.0.0.9")],
        [100, 8_191, of(b"10.0.0.1")],
    ]
    found = read_slots(answer, "asked")
    assert found.masters == (B, A)
    assert found.owners == (1,) * 8_192 + (0,) * 8_192


@pytest.mark.parametrize("host", [None, b""])
def test_a_master_without_an_address(host: Any) -> None:
    """S17.1: a master whose address the cluster does not know is on the host that was asked."""
    assert read_slots([[0, 16_383, of(host, 7_000)]], "asked") == SlotMap((Master("asked", 7_000),), (0,) * SLOTS)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([], "slots without a master"),
        ([[0, 16_382, of(b"h")]], "slots without a master"),
        ([[0, 16_383, of(b"?")]], "announces no host name"),
        (b"OK", "malformed"),
        (None, "malformed"),
        ([[0, 16_384, of(b"h")]], "malformed"),
        ([[5, 4, of(b"h")]], "malformed"),
        ([[-1, 4, of(b"h")]], "malformed"),
        ([[0, 16_383]], "malformed"),
        ([[0, 16_383, [b"h"]]], "malformed"),
        ([[0, 16_383, of(b"h", "x")]], "malformed"),  # type: ignore[arg-type]
        ([[0, 16_383, of(b"\xff")]], "malformed"),
        ([[0, 16_383, of(7)]], "malformed"),
        ([[b"0", b"1", of(b"h")]], "malformed"),
    ],
)
def test_no_map(answer: Any, why: str) -> None:
    """S17.3: a map with a gap, or that is none, is refused with a reason."""
    with pytest.raises(SlotsUnknown, match=why):
        read_slots(answer, "asked")
