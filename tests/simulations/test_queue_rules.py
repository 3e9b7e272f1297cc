"""What the gateway's queue was chosen for, beside the order of arrival."""

from functools import partial

from .queue_rules import SCENES, THREADS, Chosen, Fifo, mixed, share, simulate

SCENE = {scene.title: scene for scene in SCENES}
SHORT = 20.0
ours = partial(Chosen, target=1.0)


def test_goodput_of_clients_with_little_patience() -> None:
    scene = SCENE["3x, all alike, clients of 2 s patience"]
    in_order, newest = (simulate(scene, rule(30.0), SHORT) for rule in (Fifo, ours))
    assert in_order.useful / SHORT / THREADS < 0.3
    assert newest.useful / SHORT / THREADS > 0.95


def test_waits_at_three_times_the_capacity() -> None:
    scene = SCENE["3x, mixed"]
    in_order, newest = (simulate(scene, rule(30.0), SHORT) for rule in (Fifo, ours))
    assert share(newest.waits, 0.9) < 0.1 < share(in_order.waits, 0.5)


def test_nothing_changes_while_the_threads_keep_up() -> None:
    scene = SCENE["95 %, mixed"]
    assert scene.needs is mixed
    assert simulate(scene, Fifo(30.0), SHORT).waits == simulate(scene, ours(30.0), SHORT).waits
