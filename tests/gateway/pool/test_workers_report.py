"""What the supervisor hears of a pool's workers."""

from propylon.gateway.pool.workers_report import REPORTS_AT_ONCE
from propylon.protocol.supervision.codec import line_of, read_report
from propylon.protocol.supervision.messages import LinkedWorker, PoolWorkers

from .linked import LinkedMember, Owner, pool, submit


def test_at_once_when_one_comes_or_goes_or_is_late() -> None:
    owner = Owner()
    p = pool(owner)
    p.sweep(100.0)
    member = LinkedMember(p, slots=4, pid=17)
    member.who["id"] = 3
    p.introduced()
    assert owner.workers[-1] == (
        LinkedWorker(
            id=3, worker=1, pid=17, generation=None, ready=True, running=0, late=False, answered=0,
            errors=0, slots=4,
        ),
    )  # fmt: skip
    said = len(owner.workers)
    p.introduced()
    assert len(owner.workers) == said, "nothing new, nothing said"
    member.graded("late")
    assert owner.workers[-1][0].late
    member.graded("punctual")
    assert not owner.workers[-1][0].late
    member.die()
    assert owner.workers[-1] == ()


def test_once_a_second_while_numbers_change() -> None:
    owner = Owner()
    p = pool(owner)
    p.sweep(100.0)
    member = LinkedMember(p, slots=100)
    said = len(owner.workers)
    for quarter in range(1, 21):
        submit(p)
        member.count(500 if quarter == 20 else 200)
        p.sweep(100.0 + quarter / 4)
    assert len(owner.workers) == said + 5
    assert owner.workers[-1][0].running == 20
    assert owner.workers[-1][0].answered == 20
    assert owner.workers[-1][0].errors == 1
    p.sweep(110.0)
    assert len(owner.workers) == said + 5, "nothing changes, nothing is said"


def test_a_worker_may_say_anything_of_itself() -> None:
    owner = Owner()
    p = pool(owner)
    member = LinkedMember(p)
    member.who.update(id=b"\xff", worker={"a": 1}, pid=None)
    p.introduced()
    report = PoolWorkers("default", owner.workers[-1])
    assert read_report(line_of(report)) == report
    (worker,) = report.workers
    assert (worker.id, worker.worker, worker.pid) == (None, None, None)


def test_an_answer_that_took_too_long_is_an_error() -> None:
    p = pool()
    p.sweep(100.0)
    member = LinkedMember(p)
    submit(p)
    p.sweep(160.5)
    assert (member.answered, member.errors) == (1, 1)


def test_weight_slots_and_a_few_labels() -> None:
    owner = Owner()
    p = pool(owner)
    p.sweep(100.0)
    member = LinkedMember(p, slots=7)
    member.who |= {"weight": 5, "labels": {"zone": "a", "evil\n": "\x1b[31m" + "x" * 100, "n": 7}}
    p.introduced()
    (said,) = owner.workers[-1]
    assert (said.weight, said.slots) == (5, 7)
    assert said.labels["zone"] == "a"
    assert said.labels["n"] == "7"
    assert "evil\\n" in said.labels
    assert "\x1b" not in str(said.labels)
    member.who["labels"] = {str(n): "x" for n in range(50)}
    p.introduced()
    assert len(owner.workers[-1][0].labels) == 8
    member.who["labels"] = ["zone"]
    p.introduced()
    assert owner.workers[-1][0].labels == {}
    assert read_report(line_of(PoolWorkers("x", owner.workers[0]))) is not None


def test_many_that_come_at_once_are_reported_together() -> None:
    owner = Owner()
    p = pool(owner)
    p.sweep(100.0)
    for pid in range(1, 201):
        LinkedMember(p, slots=4, pid=pid)
        p.introduced()
    said = len(owner.workers)
    assert 0 < said <= REPORTS_AT_ONCE
    p.sweep(100.25)
    assert len(owner.workers) == said + 1
    assert len(owner.workers[-1]) == 200
    LinkedMember(p, slots=4, pid=201)
    p.introduced()
    assert len(owner.workers[-1]) == 201, "at once again"
