"""A FastAPI app with OpenTelemetry's instrumentation, set up by OTEL_* variables as in its docs."""

from fastapi import FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
app = FastAPI()
FastAPIInstrumentor.instrument_app(app)


@app.get("/items/{item}")
async def read(item: str) -> dict[str, str]:
    with trace.get_tracer("the app").start_as_current_span("work"):
        return {"item": item}


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
