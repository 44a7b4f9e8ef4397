"""The program that ``twistd pode-signals`` serves by default: the full example of Pode's documentation.

It needs nothing from outside: the page, its style and its script are files of this package.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from importlib.resources import files
from random import randint
from typing import Any, Unpack

from ..core.endpoints import Endpoint
from ..core.settings import SettingsArguments
from ..hub.signal_event import SignalEvent
from ..service import SignalsService
from ..signals import Signals

__all__ = ["ENDPOINTS", "example"]

ENDPOINTS = (Endpoint("http", port=8091), Endpoint("ws", port=8091))
"""Where the example is served unless told otherwise."""

_NAME_CHARACTERS = 30
_PAGES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/script.js": ("script.js", "text/javascript"),
}


def example(endpoints: Iterable[Endpoint] = ENDPOINTS, **settings: Unpack[SettingsArguments]) -> SignalsService:
    """The example as a service: a chat page, its signal route and a schedule that broadcasts each minute.

    Who is here is shared, and who was cut off for some minutes gets the messages of that time.

    Args:
        endpoints: where to serve it.
        settings: the settings of its ``Signals``.

    Raises:
        ValueError: a setting makes no sense.
        ConfigurationInvalid: endpoints that do not go together.
    """
    # Imported only here: Klein installs the reactor.
    from klein import Klein

    app = Klein()
    signals = Signals(**settings)
    signals.keep_history("Msg", messages=500, seconds=600)
    signals.share_presence("Msg")
    for path, (file_name, content_type) in _PAGES.items():
        _add_page(app, path, file_name, content_type)

    @app.route("/msg")
    def msg(request: Any) -> None:
        # Anybody may take any name here: it is a label, and no login.
        names = request.args.get(b"user", [b""])
        name = names[0].decode("utf-8", "replace").strip()[:_NAME_CHARACTERS]
        signals.convert(request, name="Msg", user=name if name.isprintable() and name else None)

    @app.route("/response-times")
    def response_times(request: Any) -> None:
        signals.convert(request, name="ResponseTimes")

    @signals.route("/msg")
    def on_message(event: SignalEvent) -> None:
        text, user = event.data.message, event.connection.user
        if isinstance(text, str) and not text.strip():
            return
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        if isinstance(text, str) and text.lower() == "[date]":
            text = now
        # Pages that were written for Pode have no name, and get what they know.
        signals.send({"message": text} if user is None else {"message": text, "user": user, "at": now}, name="Msg")

    @signals.schedule("Example", cron="* * * * *")
    def tick() -> None:
        durations = [randint(90, 130) for _ in range(3)]  # noqa: S311  # figures to look at
        signals.send({"Durations": durations}, name="ResponseTimes")

    return SignalsService(signals, app.resource(), endpoints, client_at="/signals.js")


def _add_page(app: Any, path: str, file_name: str, content_type: str) -> None:
    content = files("pode_signals.example").joinpath("pages", file_name).read_bytes()

    @app.route(path, methods=["GET", "HEAD"], endpoint=file_name)  # type: ignore[untyped-decorator]  # Klein
    def page(request: Any) -> bytes:
        request.setHeader(b"Content-Type", f"{content_type}; charset=utf-8".encode("ascii"))
        return content
