"""The same views for ASGI and WSGI; streams are asynchronous under ASGI, as Django asks."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.views.decorators.csrf import csrf_exempt


async def json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"hello": "world"})


def query(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.GET["name"], content_type="text/plain; charset=utf-8")


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for piece in file.chunks():
        digest.update(piece)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})


def streamed(request: HttpRequest, pieces: list[bytes], content_type: str) -> HttpResponse:
    async def later() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    def now() -> Iterator[bytes]:
        yield from pieces

    body = later() if isinstance(request, ASGIRequest) else now()
    return StreamingHttpResponse(body, content_type=content_type)


def stream(request: HttpRequest) -> HttpResponse:
    n = int(request.GET["n"])
    pieces = [b"x" * min(10_000, n - start) for start in range(0, n, 10_000)]
    return streamed(request, pieces, "application/octet-stream")


def events(request: HttpRequest) -> HttpResponse:
    return streamed(request, [b"data: %d\n\n" % n for n in range(3)], "text/event-stream")


@csrf_exempt
def background(request: HttpRequest) -> HttpResponse:
    """Django has no background tasks; what comes nearest is the response's close."""

    class Accepted(HttpResponse):
        def close(self) -> None:
            super().close()
            Path(request.GET["file"]).write_text("done")

    return Accepted("accepted", status=202)


def cookies(request: HttpRequest) -> HttpResponse:
    response = JsonResponse(request.COOKIES)
    response.set_cookie("seen", "yes")
    response.set_cookie("second", "too")
    return response


def to_json(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/json")


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom")


async def loop_of(request: HttpRequest) -> str:
    if not isinstance(request, ASGIRequest):
        return "wsgi"
    return type(asyncio.get_running_loop()).__module__.split(".")[0]


async def client(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "scheme": request.scheme,
            "client": request.META.get("REMOTE_ADDR"),
            "method": request.method,
            "path": request.path,
            "root_path": request.META.get("SCRIPT_NAME") or "",
            "interface": await loop_of(request),
        }
    )
