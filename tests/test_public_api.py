"""The public names, pinned: one that comes or goes is a decision, and a line in the changelog."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pode_signals
from pode_signals.hub.connection import ConnectionHub

NAMES = [
    "EVERY_NAME",
    "BroadcastLevel",
    "CloseCode",
    "Delivery",
    "DisconnectEvent",
    "DuplicateClientId",
    "Endpoint",
    "EventType",
    "Insight",
    "Member",
    "Observer",
    "Operations",
    "RedisBackplane",
    "Scope",
    "SendMode",
    "SignalConnection",
    "SignalEvent",
    "Signals",
    "SignalsService",
    "SlowClient",
    "TriggeredEvent",
    "Unrouted",
    "cron",
]


def test_public_names() -> None:
    """S0.1: these names are public at the top of the package, and no others."""
    assert sorted(pode_signals.__all__) == sorted(NAMES)


def test_public_names_of_the_client() -> None:
    """S0.1: these names are public in ``pode_signals.client``, and no others."""
    from pode_signals import client

    names = ["ClientEvent", "Closed", "Lost", "Opened", "PresenceChanged", "SignalClient", "SignalReceived"]
    assert sorted(client.__all__) == names
    assert [name for name in names if not hasattr(client, name)] == []


def test_public_names_exist() -> None:
    """S0.1: each public name can be imported."""
    assert [name for name in pode_signals.__all__ if not hasattr(pode_signals, name)] == []


def test_public_names_of_the_kit() -> None:
    """S0.2: these names are public in the kit for tests, and no others."""
    kit = import_module("pode_signals.testing")
    assert kit.__all__ == ["Asked", "RecordedSend", "Refused", "SignalTester", "TestClient"]
    assert [name for name in kit.__all__ if not hasattr(kit, name)] == []


def test_what_the_kit_brings() -> None:
    """S12.4: the kit installs no reactor, and needs neither pytest nor Klein; the package does without it."""
    program = "import sys; import pode_signals.signals; print('pode_signals.testing' in sys.modules);"
    program += "import pode_signals.testing; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    before, *modules = done.stdout.split()
    assert before == "False"
    assert {"klein", "pytest", "twisted.internet.reactor"} & set(modules) == set()


def imported_for_type_checkers() -> dict[str, str]:
    """The names that the package imports for type checkers alone, with their modules."""
    tree = ast.parse(Path(pode_signals.__file__).read_text(encoding="utf-8"))
    (block,) = (each for each in tree.body if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING")
    return {
        alias.name: statement.module or ""
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_the_table_of_public_names() -> None:
    """S0.1: the table of public names, ``__all__`` and what type checkers see have the same names and modules."""
    assert imported_for_type_checkers() == pode_signals._MODULES
    assert sorted(pode_signals._MODULES) == sorted(pode_signals.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_where_public_names_are(name: str) -> None:
    """S0.1: a public name is what its module has under the same name, and stays the same object."""
    module = import_module(f"pode_signals.{pode_signals._MODULES[name]}")
    assert getattr(pode_signals, name) is getattr(module, name)
    assert vars(pode_signals)[name] is getattr(module, name)


def test_completion() -> None:
    """S0.1: completion shows each public name, and the errors, before any is used."""
    assert {*NAMES, "errors"} <= set(dir(pode_signals))


def test_a_name_that_does_not_exist() -> None:
    """S0.1: a name that is not public is an AttributeError, or an ImportError in an import, as for any module."""
    with pytest.raises(AttributeError, match=r"^module 'pode_signals' has no attribute 'Signal'$"):
        pode_signals.Signal  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        exec("from pode_signals import Signal")


@pytest.mark.parametrize("statement", ["import pode_signals", "from pode_signals import CloseCode, Scope, Unrouted"])
def test_what_an_import_brings(statement: str) -> None:
    """S12.4: to import the package, or an enumeration, imports no web server, no WebSocket library and no Twisted."""
    program = f"import sys; {statement}; print(*sorted({{each.partition('.')[0] for each in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"autobahn", "cryptography", "klein", "twisted", "werkzeug"}
    assert set(done.stdout.split()) & heavy == set()


def test_the_errors_of_the_package() -> None:
    """S0.1: ``pode_signals.errors`` is there without an import of its own."""
    program = "import pode_signals; print(pode_signals.errors.UpgradeRefused.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["UpgradeRefused"]


@pytest.mark.parametrize("name", [name for name in vars(ConnectionHub) if not name.startswith("_")])
def test_what_a_connection_says_of_its_hub(name: str) -> None:
    """S0.1: what ``connection.hub`` is said to offer, Signals offers, with the same arguments."""
    said, offered = getattr(ConnectionHub, name), getattr(pode_signals.Signals, name)
    assert isinstance(said, property) == isinstance(offered, property)
    if not isinstance(said, property):
        assert inspect.signature(said).parameters == inspect.signature(offered).parameters
