"""Real pages in Debian's Firefox, by WebDriver BiDi; nothing outside this machine is ever asked. It is no test.

Firefox speaks WebDriver BiDi itself. Playwright drives no Firefox but one of its own, which Debian does not have.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import websocket

__all__ = ["Firefox", "FirefoxPage", "firefox_in"]

_SECONDS = 30
_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)\n")
# A Firefox that is driven asks Mozilla for little, but it begins with that before it knows that it is driven. Whatever
# does not go to loopback is sent to a proxy, and nothing listens there.
_PREFERENCES = {
    "network.proxy.type": 1,
    "network.proxy.socks": "127.0.0.1",
    "network.proxy.socks_port": 9,
    "network.proxy.socks_remote_dns": True,
    "network.proxy.allow_bypass": False,
    "network.proxy.failover_direct": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.trr.mode": 5,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.provider.google4.updateURL": "",
    "browser.safebrowsing.provider.mozilla.updateURL": "",
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.update.enabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.unified": False,
}


class Firefox:
    """A Firefox.

    Args:
        url: where it listens.

    Attributes:
        version: as it says itself, ``153.8.0``.
        events: what consoles have said so far.
    """

    def __init__(self, url: str) -> None:
        # Firefox refuses every client that says that it is a page.
        self._socket = websocket.create_connection(f"{url}/session", timeout=_SECONDS, suppress_origin=True)
        self._last_id = 0
        self.events: list[dict[str, Any]] = []
        capabilities = self.command("session.new", capabilities={})["capabilities"]
        self.version: str = capabilities["browserVersion"]
        self.command("session.subscribe", events=["log.entryAdded"])
        # What a page may not load is otherwise no event.
        told = "() => addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
        self.command("script.addPreloadScript", functionDeclaration=told)

    def command(self, method: str, **parameters: Any) -> Any:
        """Give a command and return its result.

        Raises:
            AssertionError: Firefox says that it failed.
        """
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message["type"] == "event":
                self.events.append(message)
            elif message["id"] == self._last_id:
                assert message["type"] == "success", f"{method}: {message}"
                return message["result"]

    def open(self) -> FirefoxPage:
        """A new page, in a window of its own: what is not in sight is slowed down."""
        return FirefoxPage(self, self.command("browsingContext.create", type="window")["context"])

    def close(self) -> None:
        """End it."""
        self.command("browser.close")
        self._socket.close()


class FirefoxPage:
    """A page.

    Args:
        firefox: what shows the page.
        context: the name of its context.
    """

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self.context = context

    def go_to(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        self._firefox.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def go_back(self) -> None:
        """Go back in the history."""
        self._firefox.command("browsingContext.traverseHistory", context=self.context, delta=-1)

    def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a function of JavaScript with values of JSON; gives what it returns, or promises.

        Raises:
            AssertionError: it raised.
        """
        given = ", ".join(json.dumps(argument) for argument in arguments)
        # Caught in the page: Firefox can't tell of a rejection whose error has no stack.
        called = f"(async () => ({{ value: await ({function})({given}) }}))()"
        result = self._firefox.command(
            "script.evaluate",
            expression=f"{called}.catch((error) => ({{ error: String(error) }})).then(JSON.stringify)",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        found = json.loads(result["result"]["value"])
        assert "error" not in found, f"{function}: {found['error']}"
        return found.get("value")

    def wait_for(self, function: str, expected: Any = True, *, seconds: float = 20) -> None:
        """Wait until a function of JavaScript returns what is expected."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = self.evaluate(function)
            except AssertionError as error:
                # A page that is about to be replaced by another one may not answer.
                found = error
            if found == expected:
                return
            assert time.monotonic() < end, f"{function} gives {found!r}, and not {expected!r}"
            time.sleep(0.02)

    def set_offline(self, is_offline: bool) -> None:
        """Take the network from the page, or give it back."""
        conditions = {"type": "offline"} if is_offline else None
        self._firefox.command("emulation.setNetworkConditions", contexts=[self.context], networkConditions=conditions)

    def errors(self) -> list[str]:
        """What was wrong in the page so far, by its console."""
        entries = [event["params"] for event in self._firefox.events]
        return [
            entry["text"]
            for entry in entries
            if entry["level"] == "error" and entry["source"].get("context") == self.context
        ]

    def close(self) -> None:
        """Close the page."""
        self._firefox.command("browsingContext.close", context=self.context)


@contextmanager
def firefox_in(folder: Path, executable: str) -> Iterator[Firefox]:
    """A headless Firefox, with its profile in an empty folder. All its processes end, however the body does.

    Args:
        folder: the folder.
        executable: the program.
    """
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _PREFERENCES.items())
    (folder / "user.js").write_text("".join(lines), encoding="utf-8")
    log = folder / "firefox.log"
    command = [executable, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port=0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "about:blank"],
            env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        firefox = Firefox(_url(process, log))
        yield firefox
        firefox.close()
        process.wait(_SECONDS)
    finally:
        # Its own group: the processes of pages too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, as soon as it does."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := _LISTENING.search(log.read_text(encoding="utf-8", errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"Firefox does not listen:\n{log.read_text(encoding='utf-8', errors='replace')}")
