"""A NiceGUI page that says when its browser has connected."""

from fastapi import FastAPI
from nicegui import ui

app = FastAPI()


@ui.page("/")
async def page() -> None:
    label = ui.label("waits for the browser")
    await ui.context.client.connected()
    label.set_text("the browser has connected")


ui.run_with(app)
