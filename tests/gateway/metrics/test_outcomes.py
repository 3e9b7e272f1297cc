import pytest
from propylon.gateway.metrics.outcomes import is_server_error


@pytest.mark.parametrize(
    ("status", "end", "server"),
    [
        ("200", "ok", False),
        ("500", "ok", True),
        ("404", "ok", False),
        ("502", "worker_died", True),
        ("200", "worker_died_response", True),
        ("200", "client_left_response", False),
        ("503", "client_left_queue", True),
        ("499", "client_left_app", False),
        ("308", "gateway_redirect", False),
        ("101", "gateway_restart", False),
        ("101", "client_bad_frame", False),
        ("other", "gateway_cut", True),
        ("200", "of another version", False),
        ("400", "client_malformed", False),
        ("501", "client_unsupported", False),
    ],
)
def test_whose_error_it_is(status: str, end: str, server: bool) -> None:
    assert is_server_error(status, end) == server
