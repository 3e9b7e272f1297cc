import pytest
from propylon.gateway.trace.options import KNOWN_METHODS, read_trace_options


def test_without_variables() -> None:
    options = read_trace_options({"OTEL_TRACES_SAMPLER": "", "OTEL_BSP_SCHEDULE_DELAY": " "})
    assert options.sampler.follows_parent
    assert options.sampler.samples(1, None)
    assert (options.queue_size, options.batch_size, options.delay) == (2_048, 512, 5.0)
    assert options.known_methods == KNOWN_METHODS
    assert not options.disabled
    assert not options.faults


def test_what_they_say() -> None:
    options = read_trace_options({
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "500",
        "OTEL_BSP_SCHEDULE_DELAY": "250",
        "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET, PURGE",
        "OTEL_SDK_DISABLED": "TRUE",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    })  # fmt: skip
    assert not options.sampler.samples(1, True)
    assert (options.queue_size, options.batch_size, options.delay) == (100, 100, 0.25)
    assert options.known_methods == {"GET", "PURGE"}
    assert options.disabled
    assert not options.faults


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
def test_what_is_wrong_is_said_and_the_default_used(name: str, value: str) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", name: value}
    options, usual = read_trace_options(environ), read_trace_options({})
    (fault,) = options.faults
    assert fault.startswith(f"{name}: found {value!r}, taken as ")
    assert options.sampler.samples((1 << 128) - 1, None)
    assert (options.queue_size, options.batch_size, options.delay) == (
        usual.queue_size,
        usual.batch_size,
        usual.delay,
    )


def test_the_variable_for_traces_goes_first() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }
    assert not read_trace_options(environ).faults
