from __future__ import annotations

from typing import Any

import pytest

from pode_signals.backplane.redis.address import RedisAddress, read_url
from pode_signals.backplane.redis.keys import Keys


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://redis.example", RedisAddress("redis.example")),
        ("redis://127.0.0.1:7000/3", RedisAddress("127.0.0.1", 7000, database=3)),
        ("redis://[::1]:7000", RedisAddress("::1", 7000)),
        ("rediss://ada:p%40ss%2Fword@h", RedisAddress("h", is_tls=True, username="ada", password="p@ss/word")),
        ("redis://:word@h/", RedisAddress("h", password="word")),
        ("unix:///run/redis.sock", RedisAddress("", path="/run/redis.sock")),
        ("unix://:word@/run/re%20dis?db=2", RedisAddress("", path="/run/re dis", password="word", database=2)),
        ("redis+cluster://h", RedisAddress("", seeds=(("h", 6379),))),
        (
            "redis+cluster://:word@a,b:7000,c/",
            RedisAddress("", password="word", seeds=(("a", 6379), ("b", 7000), ("c", 6379))),
        ),
        (
            "REDISS+cluster://ada:w%2C@[::1]:7000,[::2]",
            RedisAddress("", username="ada", password="w,", is_tls=True, seeds=(("::1", 7000), ("::2", 6379))),
        ),
    ],
)
def test_urls(url: str, address: RedisAddress) -> None:
    """S17.3: a URL says where Redis is, who the node is, and which database it uses."""
    assert read_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "redis", "http://h", "redis://", "redis://h:x", "redis://h:99999", "redis://h/x", "redis://h/-1",
        "redis://h/²", "redis://h/12345678901", "redis://h?db=1", "redis://h#1", "redis://[::1", "unix://run/sock",
        "unix:///s?x=1", "unix:///s?db=x", "unix:///s#1", "redis://a,b", "redis://a:1,b:2", "redis+cluster://",
        "redis+cluster://a,", "redis+cluster://a,b/1", "redis+cluster://a/b", "redis+cluster:///run/redis.sock",
        "unix+cluster:///s", "redis+cluster://a?db=1", "redis+cluster://a:x,b",
    ],
)  # fmt: skip
def test_bad_urls(url: str) -> None:
    """S17.3: a URL that means nothing is refused with a sentence, which never repeats it."""
    url = url.replace("//", "//user:the-password@", 1)
    with pytest.raises(ValueError, match="URL of Redis") as raised:
        read_url(url)
    assert "the-password" not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://ada@h", "redis://ada:@h", "rediss://ada@h/1", "unix://ada@/run/redis.sock"])
def test_a_user_without_a_password(url: str) -> None:
    """S17.3: a user without a password is refused: without a word the node would be another user."""
    with pytest.raises(ValueError, match="without a password"):
        read_url(url)


@pytest.mark.parametrize("url", ["redis://:a/b@h", "redis://:a#b@h", "redis://:a?b@h"])
def test_a_password_that_is_not_encoded(url: str) -> None:
    """S17.3: who puts a password into a URL as it is hears that it has to be encoded."""
    with pytest.raises(ValueError, match="percent-encoded"):
        read_url(url)


@pytest.mark.parametrize("url", [None, b"redis://h", 5])
def test_no_texts(url: Any) -> None:
    """S17.3: a URL is a text."""
    with pytest.raises(TypeError, match="URL of Redis"):
        read_url(url)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (RedisAddress("h", 7000, username="ada", password="word"), "redis://h:7000"),
        (RedisAddress("::1", is_tls=True), "rediss://[::1]:6379"),
        (RedisAddress("", path="/run/s"), "unix:///run/s"),
        (RedisAddress("", seeds=(("h", 1), ("::1", 2)), password="word"), "redis+cluster://h:1,[::1]:2"),
        (RedisAddress("", seeds=(("h", 1),), is_tls=True), "rediss+cluster://h:1"),
    ],
)
def test_no_password_is_shown(address: RedisAddress, text: str) -> None:
    """S17.3: what a log line has of an address is without user and password."""
    assert str(address) == text
    assert "word" not in f"{address}{address!r}"


def test_one_node_of_a_cluster() -> None:
    """S17.3: a node of a cluster is reached as the URL says of all nodes."""
    cluster = read_url("rediss+cluster://ada:word@a,b")
    assert cluster.is_cluster
    assert cluster.at("c", 7000) == RedisAddress("c", 7000, is_tls=True, username="ada", password="word")


def test_keys() -> None:
    """S17.1: all keys begin with the application, and a name can't leave its place in them."""
    keys = Keys("shop-2")
    assert keys.log("Room") == ("shop-2:{n:Room}:log", "shop-2:{n:Room}:meta")
    assert keys.channel("a:{b}/ü %~") == "shop-2:{n:a%3A%7Bb%7D%2F%C3%BC%20%25~}:ch"
    assert keys.channel("\ud800") == "shop-2:{n:%ED%A0%80}:ch"
    assert keys.node_channel("f3a0") == "shop-2:{nodes}:node:f3a0"
    assert keys.once("backup:12:00") == "shop-2:{sched}:backup%3A12%3A00"
    assert keys.value("a b") == "shop-2:{value}:a%20b"


@pytest.mark.parametrize("application", ["", "Pode", "a" * 33, "a:b", "a{b", None, 5])
def test_applications(application: Any) -> None:
    """S17.1: the name of an application is short and plain."""
    with pytest.raises(ValueError, match="application"):
        Keys(application)
