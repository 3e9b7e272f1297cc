"""What the supervisor sees itself."""

import trio
import trio.testing
from propylon.gateway.supervisor.own_problems import OwnProblems
from propylon.gateway.supervisor.problems import Problems
from propylon.protocol.supervision.messages import Problem
from propylon.protocol.supervision.problems import problem


async def test_sources_are_asked_once_a_second_beside_the_children() -> None:
    log: list[str] = []
    problems = Problems(log.append, log.append)
    own = OwnProblems(problems, trio.current_time)
    now: list[Problem] = [problem("open files", "admin clients", "accepting pauses", "wait")]
    own.add(lambda at: now)
    own.add(lambda at: ())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["accepting pauses; wait"]
        problems.heard(7, [], trio.current_time())
        assert len(log) == 1, "a child does not see it"
        now.clear()
        with trio.fail_after(10):
            while len(log) == 1:  # noqa: ASYNC110 - no event of trio's
                await trio.sleep(0.01)
        assert log[1:] == ["No longer: accepting pauses"]
        nursery.cancel_scope.cancel()
