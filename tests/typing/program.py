"""A program as a user writes it, for the type checker: nothing runs here."""

from __future__ import annotations

from datetime import datetime

from klein import Klein
from twisted.web.iweb import IRequest

from pode_signals import (
    CloseCode,
    Endpoint,
    Scope,
    SignalConnection,
    SignalEvent,
    Signals,
    SignalsService,
    SlowClient,
    TriggeredEvent,
)

app = Klein()
signals = Signals(max_message_bytes=4_096, default_scope="global", slow_client="latest")
others = Signals(default_scope=Scope.LOCAL, slow_client=SlowClient.LATEST, allowed_origins=["https://example.com"])


@app.route("/msg")
def msg(request: IRequest) -> None:
    connection: SignalConnection = signals.convert(request, name="Msg")
    connection.send("welcome")
    connection.close(CloseCode.GOING_AWAY)
    connection.close(3_000)


@signals.route("/msg")
async def on_message(event: SignalEvent) -> None:
    text = event.data.message
    if isinstance(text, str) and text.lower() == "[date]":
        text = datetime.now().isoformat()
    delivery = signals.send({"message": text}, name="Msg")
    await delivery


@signals.on_connect("Msg")
def connected(event: TriggeredEvent) -> None:
    print(event.connection.client_id)


@signals.schedule("Example", cron="* * * * *")
def tick() -> None:
    signals.send({"Durations": [123, 101, 104]}, name=["ResponseTimes"])


service = SignalsService(
    signals,
    app.resource(),
    endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)],
)
