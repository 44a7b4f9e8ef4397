"""Django channels on uvicorn as one of several nodes, with a channel layer of channels_redis and a group of all.

LAYER is its class: core.RedisChannelLayer or pubsub.RedisPubSubChannelLayer.
"""

from __future__ import annotations

import os
from typing import Any

import django
import uvicorn
from django.conf import settings
from operations import HOST, PORT, dumps, loads

layer = os.environ["LAYER"]
options: dict[str, Any] = {"hosts": [os.environ["REDIS"]]}
if layer.startswith("core."):
    options["capacity"] = 100_000  # else it drops what a slow node has not read
LAYERS = {"default": {"BACKEND": f"channels_redis.{layer}", "CONFIG": options}}
settings.configure(ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"], CHANNEL_LAYERS=LAYERS, SECRET_KEY="-")
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
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
        else:
            await self.channel_layer.group_send("all", {"type": "message", "text": dumps(operation)})

    async def message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


websocket = URLRouter([re_path("^ws$", Consumer.as_asgi())])
uvicorn.run(
    ProtocolTypeRouter({"http": get_asgi_application(), "websocket": websocket}),
    host=HOST,
    port=PORT,
    ws="websockets-sansio",
    log_level="error",
    access_log=False,
    backlog=4096,
    ws_per_message_deflate=False,
)
