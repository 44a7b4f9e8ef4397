"""Django channels on daphne, with the channel layer in memory and a group of all."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from operations import HOST, PORT, burst, dumps, loads

LAYER = {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 100_000}}
settings.configure(ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"], CHANNEL_LAYERS={"default": LAYER}, SECRET_KEY="-")
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from daphne.server import Server
from django.core.asgi import get_asgi_application
from django.urls import re_path


class Consumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("all", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("all", self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        operation = loads(text_data or "")
        if operation["op"] == "echo":
            await self.send(text_data=dumps(operation))
        elif operation["op"] == "all":
            await self.channel_layer.group_send("all", {"type": "message", "text": dumps(operation)})
        else:
            for text in burst(operation):
                await self.channel_layer.group_send("all", {"type": "message", "text": text})

    async def message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


websocket = URLRouter([re_path("^ws$", Consumer.as_asgi())])
application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": websocket})
Server(application, endpoints=[f"tcp:port={PORT}:interface={HOST}:backlog=4096"], verbosity=0).run()
