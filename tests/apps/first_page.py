"""The app of the README's first command: one page that shows what the server does.

The page asks ten times a second which worker answers, listens to a stream of server-sent events
and speaks over a WebSocket. Reload the server, or end a worker with the page's button, and watch:
another worker answers, and no request fails.

It is a FastAPI app like any other and needs nothing but FastAPI.
"""

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse

README = Path(__file__).parent.parent.parent / "README.md"
STARTED = time.time()

app = FastAPI(title="Propylon's first page", docs_url=None, redoc_url=None)


def worker() -> dict[str, object]:
    return {"worker": os.getpid(), "seconds": int(time.time() - STARTED)}


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.get("/facts")
async def facts(request: Request) -> dict[str, str]:
    """What the page's table shows."""
    scope = request.scope
    server = scope["server"]
    return {
        "Propylon": version("propylon"),
        "App": f"FastAPI {version('fastapi')} on Python {platform.python_version()}, "
        f"{type(asyncio.get_running_loop()).__module__.split('.')[0]}",
        "Processes": f"supervisor and gateway, and this worker: pid {os.getpid()}",
        "Connection": f"{scope['scheme']}, HTTP/{scope['http_version']}, "
        + (f"{server[0]}:{server[1]}" if server[1] is not None else str(server[0])),
        "You": scope["client"][0] if scope["client"] else "a Unix socket",
    }


@app.get("/who")
async def who() -> dict[str, object]:
    """Who answers; the page asks ten times a second."""
    return worker()


@app.post("/end", status_code=202)
async def end() -> dict[str, object]:
    """The worker that gets this ends as if it had crashed, a moment later."""
    asyncio.get_running_loop().call_later(0.05, os._exit, 1)
    return worker()


@app.get("/events")
async def events() -> StreamingResponse:
    """The time and the load, once a second, until the reader leaves."""

    async def seconds() -> AsyncIterator[str]:
        while True:
            load = " ".join(f"{x:.2f}" for x in os.getloadavg())
            yield f"data: {time.strftime('%H:%M:%S')} · worker {os.getpid()} · load {load}\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(
        seconds(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


@app.get("/readme", response_class=PlainTextResponse)
async def readme() -> str:
    return README.read_text("utf-8") if README.exists() else "It lies beside pyproject.toml."


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Propylon is running</title>
<link rel="icon" href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' \
viewBox='0 0 16 16'><path fill='%23b4552d' d='M1 2h14v3h-2v9h-3V7H6v7H3V5H1z'/></svg>">
<style>
:root { color-scheme: light dark; --line: #8884; --ink: #b4552d; --good: #2e8b57; --bad: #d33; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 2rem; margin: 0; } h1 b { color: var(--ink); }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: .4rem 0; } .quiet { opacity: .75; font-size: .9rem; }
section { border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; min-width: 0; }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
main, header, nav { margin-bottom: 1.2rem; } .wide { grid-column: 1 / -1; }
table { border-spacing: 0; } th { text-align: left; padding-right: 1rem; font-weight: 600; }
td, th { vertical-align: top; } code, pre { font: .9em ui-monospace, monospace; }
pre { overflow-x: auto; margin: .3rem 0; }
button { font: inherit; padding: .25rem .8rem; border-radius: .4rem; border: 1px solid var(--ink);
         background: none; color: var(--ink); cursor: pointer; }
#dots { display: flex; flex-wrap: wrap; gap: 3px; min-height: 3.4rem; align-content: start; }
#dots i { width: 11px; height: 11px; border-radius: 3px; background: var(--c); }
#dots i.failed { background: var(--bad); outline: 2px solid var(--bad); }
.number { font-size: 1.5rem; font-variant-numeric: tabular-nums; }
svg text { font: 13px system-ui, sans-serif; fill: currentColor; text-anchor: middle; }
svg rect { fill: none; stroke: var(--ink); stroke-width: 1.5; rx: 6; }
svg path { stroke: currentColor; fill: none; marker-end: url(#tip); }
</style>
<header>
<h1><b>Propylon</b> is running</h1>
<p>nginx and the Python app server in one: a gateway that holds every client connection, in front
of worker processes that host your app. This page is a FastAPI app that runs unchanged in one of
them.</p>
</header>
<main>
<section class="wide">
<h2>Ten requests a second, a colour for each worker</h2>
<div id="dots"></div>
<p><span class="number"><span id="answered">0</span> answered,
<span id="lost">0</span> failed</span> &nbsp;
<button id="end">End the worker that gets this click</button> <span id="said"></span></p>
<p class="quiet">Or say <code>.venv/bin/propylon reload</code> in another terminal: new workers take
over, and nothing fails.</p>
</section>
<section>
<h2>What runs</h2>
<table id="facts"></table>
<svg viewBox="0 0 400 90" role="img" aria-label="client, gateway, workers" width="100%">
<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">
<path d="M0 0 6 3 0 6" style="marker-end:none;fill:currentColor"/></marker></defs>
<text x="32" y="49">you</text><path d="M55 45H108"/>
<rect x="112" y="25" width="100" height="40"/><text x="162" y="49">gateway</text>
<path d="M214 40 278 24"/><path d="M214 50 278 66"/>
<rect x="282" y="6" width="110" height="32"/><text x="337" y="27">worker: app</text>
<rect x="282" y="52" width="110" height="32"/><text x="337" y="73">worker: app</text>
</svg>
</section>
<section>
<h2>A stream of server-sent events</h2>
<p id="event">…</p>
<p class="quiet"><span id="events">0</span> events, connections: <span id="connected">0</span>.
The browser connects again by itself.</p>
<h2 style="margin-top:1rem">A WebSocket</h2>
<p id="echo">…</p>
<p class="quiet"><span id="messages">0</span> messages came back; last close code:
<span id="close">none</span>. 1012 means: the server restarts, connect again.</p>
</section>
<section class="wide">
<h2>What next</h2>
<pre>propylon status                    # what runs, and how it fares
propylon serve yours.module:app    # your ASGI or WSGI app
propylon serve --help              # every option, in sections</pre>
<p>Read: <a href="readme">README</a> · the code of this page: <code>tests/apps/first_page.py</code>
</p>
</section>
</main>
<script>
const $ = (id) => document.getElementById(id), count = (id) => $(id).textContent++;
const colours = new Map();
function colour(pid) {
  if (!colours.has(pid)) colours.set(pid, `hsl(${(20 + colours.size * 137) % 360} 60% 50%)`);
  return colours.get(pid);
}
async function ask() {
  const dot = document.createElement("i");
  try {
    const response = await fetch("who", {cache: "no-store"});
    if (!response.ok) throw new Error(response.status);
    const {worker} = await response.json();
    dot.style.setProperty("--c", colour(worker));
    dot.title = "worker " + worker;
    count("answered");
  } catch (error) {
    dot.className = "failed";
    dot.title = String(error);
    count("lost");
  }
  $("dots").append(dot);
  while ($("dots").childElementCount > 240) $("dots").firstChild.remove();
}
setInterval(ask, 100);

$("end").onclick = async () => {
  const {worker} = await (await fetch("end", {method: "POST"})).json();
  $("said").textContent = `worker ${worker} has ended`;
};

fetch("facts").then((response) => response.json()).then((facts) => {
  for (const [name, fact] of Object.entries(facts)) {
    const row = $("facts").insertRow();
    row.append(Object.assign(document.createElement("th"), {textContent: name}));
    row.insertCell().textContent = fact;
  }
});

const source = new EventSource("events");
source.onopen = () => count("connected");
source.onmessage = ({data}) => { $("event").textContent = data; count("events"); };

function speak() {
  const socket = new WebSocket(new URL("ws", location.href.replace(/^http/, "ws")));
  let timer, sent;
  const say = () => { sent = performance.now(); socket.send("hello " + new Date().toISOString()); };
  socket.onopen = say;
  socket.onmessage = () => {
    $("echo").textContent = `there and back in ${(performance.now() - sent).toFixed(1)} ms`;
    count("messages");
    timer = setTimeout(say, 500);
  };
  socket.onclose = ({code}) => {
    clearTimeout(timer);
    $("close").textContent = code;
    setTimeout(speak, 200);
  };
}
speak();
</script>
"""
