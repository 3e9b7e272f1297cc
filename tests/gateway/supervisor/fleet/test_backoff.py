"""How long a replica waits for its next process."""

from propylon.gateway.supervisor.fleet.backoff import FREE_EXITS, Backoff


def test_an_app_that_ends_its_process_again_and_again_is_slowed_down() -> None:
    backoff = Backoff()
    assert [backoff.after_exit(lived=0) for _ in range(FREE_EXITS)] == [0] * FREE_EXITS
    assert backoff.after_exit(lived=0) == 0.5
    assert backoff.after_exit(lived=60) == 0


def test_delays() -> None:
    backoff = Backoff()
    assert [backoff.after_failed_start() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.after_crash(lived=60) == 0
