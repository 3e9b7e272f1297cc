"""The schema in docs/ is that of the status report, and says what every field means."""

from propylon.gateway.control.status import StatusReport

from ...house.source import ROOT
from . import status_schema


def test_the_file_is_current() -> None:
    file = (ROOT / "docs/status.schema.json").read_text("utf-8")
    assert file == status_schema.as_file(), status_schema.__doc__


def test_it_has_every_part_of_the_report() -> None:
    schema = status_schema.status_schema()
    assert schema["$ref"] == "#/$defs/StatusReport"
    report = schema["$defs"]["StatusReport"]["properties"]
    assert report.keys() == set(StatusReport.__dataclass_fields__)
    assert report["schema"]["default"] == StatusReport().schema == 1
    parts = {"GatewayStatus", "PoolStatus", "WorkerStatus", "TrafficStatus", "FailedStatus"}
    assert schema["$defs"].keys() >= parts
    assert report["uptime"] == {"type": "number", "default": 0.0}
    worker = schema["$defs"]["WorkerStatus"]["properties"]
    assert worker["calls"]["description"] == "Calls that are running."
