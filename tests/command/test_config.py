from __future__ import annotations

import pytest

from pode_signals.command.config import Configuration
from pode_signals.core.endpoints import Endpoint
from pode_signals.errors import ConfigurationInvalid


def test_certificates_for_those_that_have_none() -> None:
    """S1.5: a certificate of the command line is for https and wss endpoints that have none of their own."""
    plain, bare = Endpoint("http", port=1), Endpoint("https", port=2)
    own, foreign = Endpoint("wss", port=3, self_signed=True), Endpoint("https", listen="ssl:4:privateKey=k.pem")
    configuration = Configuration(settings={}, certificate="a.pfx", certificate_password="pass")
    given = Endpoint("https", port=2, certificate="a.pfx", certificate_password="pass")
    assert configuration.with_certificate([plain, bare, own, foreign]) == (plain, given, own, foreign)
    assert Configuration(settings={}).with_certificate([bare]) == (bare,)
    with pytest.raises(ConfigurationInvalid):
        configuration.with_certificate([plain, own])
    with pytest.raises(ConfigurationInvalid, match="without a certificate"):
        Configuration(settings={}, certificate_key="k.pem").with_certificate([bare])


def test_shared_ports() -> None:
    """S1.7: ``reuse_port`` is for all endpoints; one without an address and a port is refused, and named."""
    page, chat = Endpoint("http", port=1), Endpoint("ws", port=1)
    shared = Configuration(settings={}, reuse_port=True)
    assert [each.reuse_port for each in shared.with_shared_ports([page, chat])] == [True, True]
    assert Configuration(settings={}).with_shared_ports([page]) == (page,)
    with pytest.raises(ConfigurationInvalid, match=r"http unix:/run/chat\.socket: reuse_port is for an address and a"):
        shared.with_shared_ports([page, Endpoint("http", listen="unix:/run/chat.socket")])
