"""What Channels serves at /ws: one consumer on the loop, one in a thread."""

import json
from urllib.parse import parse_qsl

from asgi_raw import mark
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer


class Echo(AsyncWebsocketConsumer):
    """And what begins with `all:` goes to everyone who is connected."""

    groups = ["everyone"]  # noqa: RUF012

    async def connect(self):
        self.query = dict(parse_qsl(self.scope["query_string"].decode()))
        offered = self.scope["subprotocols"]
        if "refuse" in self.query:
            await self.close()
        else:
            await self.accept(subprotocol=offered[0] if offered else None)

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            await self.close(4000, "as asked")
        elif text_data == "crash":
            raise RuntimeError("crashed as asked")
        elif text_data == "where":
            await self.send(json.dumps([self.scope["scheme"], self.scope["path"]]))
        elif text_data is not None and text_data.startswith("all:"):
            await self.channel_layer.group_send("everyone", {"type": "news", "text": text_data})
        else:
            await self.send(text_data, bytes_data)

    async def news(self, event):
        await self.send(event["text"])

    async def disconnect(self, code):
        if "file" in self.query:
            mark(self.query["file"], str(code))


class EchoInThread(WebsocketConsumer):
    def connect(self):
        self.query = dict(parse_qsl(self.scope["query_string"].decode()))
        offered = self.scope["subprotocols"]
        if "refuse" in self.query:
            self.close()
        else:
            self.accept(subprotocol=offered[0] if offered else None)

    def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            self.close(4000, "as asked")
        elif text_data == "crash":
            raise RuntimeError("crashed as asked")
        elif text_data == "where":
            self.send(json.dumps([self.scope["scheme"], self.scope["path"]]))
        else:
            self.send(text_data, bytes_data)

    def disconnect(self, code):
        if "file" in self.query:
            mark(self.query["file"], str(code))
