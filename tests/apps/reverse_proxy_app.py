"""A reverse proxy as people write it: Starlette in front, httpx behind, streams both ways."""

import os

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

client = httpx.AsyncClient(base_url=os.environ.get("BACKEND", ""), trust_env=False)


async def proxy(request: Request) -> StreamingResponse:
    url = httpx.URL(path=request.url.path, query=request.url.query.encode())
    asked = client.build_request(
        request.method, url, headers=request.headers.raw, content=request.stream()
    )
    answer = await client.send(asked, stream=True)
    return StreamingResponse(
        answer.aiter_raw(),
        status_code=answer.status_code,
        headers=answer.headers,
        background=BackgroundTask(answer.aclose),
    )


app = Starlette(routes=[Route("/{path:path}", proxy, methods=["GET", "POST", "PUT"])])
