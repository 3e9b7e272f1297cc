"""The OTEL_* variables that the gateway reads by itself. Pure.

A wrong value of one is said in the log and its default is used, as OpenTelemetry's specification
wants it (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/): it may
be meant for the app, which has the same environment. The exporter reads OTEL_EXPORTER_OTLP_* for
itself, the resource OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .sampling import DEFAULT_SAMPLER, SAMPLERS, Sampler, sampler

KNOWN_METHODS: Final = frozenset({
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
})  # fmt: skip
"""Methods with a name of their own in a span, by OpenTelemetry's conventions."""
_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    sampler: Sampler
    queue_size: int
    """Requests that wait for the export; what comes beyond is dropped and counted."""
    batch_size: int
    """Requests that are exported at once, at most."""
    delay: float
    """Seconds until a batch is exported that is not full."""
    known_methods: frozenset[str] = KNOWN_METHODS
    disabled: bool = False
    """Whether OpenTelemetry is switched off for the whole environment."""
    faults: tuple[str, ...] = ()
    """What is wrong with the variables, for the log."""


def read_trace_options(environ: Mapping[str, str]) -> TraceOptions:
    faults: list[str] = []
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip() or DEFAULT_SAMPLER
    if name not in SAMPLERS:
        faults.append(f"OTEL_TRACES_SAMPLER: found {name!r}, taken as {DEFAULT_SAMPLER}")
        name = DEFAULT_SAMPLER
    share = 1.0
    if name.endswith("traceidratio"):
        share = _number(environ, "OTEL_TRACES_SAMPLER_ARG", 1.0, 0.0, 1.0, faults)
    methods = environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "").strip()
    protocol = (
        environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    ).strip()
    if protocol != "http/protobuf":
        faults.append(f"OTEL_EXPORTER_OTLP_PROTOCOL: found {protocol!r}, taken as http/protobuf")
    queue = int(_number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2_048, 1, _MOST, faults))
    batch = int(_number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1, _MOST, faults))
    return TraceOptions(
        sampler=sampler(name, share),
        queue_size=queue,
        batch_size=min(batch, queue),
        delay=_number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5_000, 1, _MOST, faults) / 1_000,
        known_methods=(
            frozenset(method.strip() for method in methods.split(",")) if methods else KNOWN_METHODS
        ),
        disabled=environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        faults=tuple(faults),
    )


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    least: float,
    most: float,
    faults: list[str],
) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        faults.append(f"{name}: found {text!r}, taken as {default:g}")
        return default
    return number
