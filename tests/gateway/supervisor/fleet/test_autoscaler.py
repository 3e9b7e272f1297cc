import math
from dataclasses import replace

import pytest
from propylon.gateway.supervisor.fleet.autoscaler import (
    CALMED_AFTER,
    MOST_REGRET,
    START_TIMES,
    Autoscaler,
    MachineLook,
    Move,
    PoolLook,
    ScalerSettings,
)

from ....simulations.autoscaled_pools import MEGABYTE, EventLoops, Scenario, Threads

MACHINE = MachineLook(cpus=8)
IDLE = PoolLook(workers=2, ready=2, slots=8)
FULL = PoolLook(workers=2, ready=2, slots=8, running=8, queued=9, oldest_waiter=0.5, ended=80)


class Told:
    """An autoscaler of 2..8 workers that is told looks, a second after each other."""

    def __init__(self, **settings: float) -> None:
        self.settings = ScalerSettings(least=2, most=8, **settings)
        self.scaler = Autoscaler(self.settings, 0.0)
        self.now = 0.0
        self.machine = MACHINE

    def look(self, *looks: PoolLook, reloading: bool = False) -> list[Move]:
        moves: list[Move] = []
        for look in looks:
            self.now += 1
            if move := self.scaler.look(look, self.machine, self.now, reloading=reloading):
                moves.append(move)
        return moves

    def quiet(self, seconds: int, look: PoolLook = IDLE) -> list[Move]:
        return self.look(*[look] * seconds)


def growing(look: PoolLook = FULL, by: int = 9) -> list[PoolLook]:
    """Two looks at a pool whose queue grows by so many each second."""
    return [look, replace(look, queued=look.queued + by)]


def test_a_single_look_that_sees_waiting_changes_nothing() -> None:
    told = Told()
    assert told.look(IDLE, FULL, IDLE, FULL) == []
    assert told.scaler.state == "waiting"


def test_requests_that_wait_for_longer_than_the_target_make_it_grow() -> None:
    (move,) = Told().look(*growing())
    assert (move.workers, move.before) == (4, 2)
    assert move.why == "requests have waited 500 ms, for longer than 100 ms"


def test_those_that_wait_for_less_do_not() -> None:
    told = Told(queue_time=0.6)
    assert told.look(*growing(), *growing()) == []
    assert told.scaler.state == "steady"


def test_waits_between_two_looks_count_too() -> None:
    gone = replace(FULL, queued=0, oldest_waiter=0.0, wait=0.2)
    assert Told().look(*growing(gone, 1))
    assert not Told().look(*growing(replace(gone, wait=0.05), 1))


def test_it_grows_by_what_the_work_needs() -> None:
    """8 slots end 80 calls a second, and 4 more come than that: R is 8.4, and its root 2.9."""
    told = Told()
    (move,) = told.look(*growing(replace(FULL, slots=4, running=8, queued=1), 4))
    assert move.workers == 4  # 6 would be needed of two slots each; it is doubled at most
    (move,) = Told().look(*growing(replace(FULL, queued=1), 4))
    assert move.workers == 3


def test_without_any_call_that_ends_it_doubles() -> None:
    (move,) = Told().look(*growing(replace(FULL, ended=0)))
    assert move.workers == 4


def test_a_queue_that_is_being_worked_off_holds_it() -> None:
    told = Told()
    assert told.look(*growing(replace(FULL, queued=60), -40)) == []
    assert told.scaler.state == "held"
    assert "catching up" in told.scaler.why


def test_while_its_workers_seek_a_higher_limit_it_is_held() -> None:
    told = Told()
    assert told.look(*growing(replace(FULL, sought=True))) == []
    assert told.scaler.state == "held"
    assert told.scaler.why.endswith("its workers find out how many they can take at once")
    assert told.look(*growing())


def test_what_was_refused_is_work() -> None:
    full = replace(FULL, queued=2, ended=80, refused=120)
    (move,) = Told().look(full, full)
    assert move.workers == 4


def test_while_workers_start_nothing_more_is_ordered() -> None:
    told = Told()
    assert told.look(*growing())
    starting = replace(FULL, workers=4, starting=2, queued=500, oldest_waiter=9.0)
    assert told.look(*[starting] * 30) == []
    assert told.scaler.state == "starting"
    there = replace(FULL, workers=4, ready=4, slots=16, running=16, queued=500)
    assert told.look(there) == []
    assert told.scaler.start_time == 31
    assert told.scaler.patience == START_TIMES * 31
    assert told.look(replace(there, queued=600)) == [
        Move(8, 4, "requests have waited 500 ms, for longer than 100 ms")
    ]


def test_who_waits_while_slots_are_free_waits_for_something_else() -> None:
    told = Told()
    sticky = replace(FULL, running=5)
    assert told.look(*growing(sticky), *growing(sticky)) == []
    assert told.scaler.why.endswith("and slots are free")
    assert told.look(replace(FULL, queued=30), replace(FULL, queued=40))


def test_a_short_idle_time_leaves_looks_enough_to_grow_by() -> None:
    told = Told(idle_time=1.0)
    first, second = growing(replace(FULL, queued=1), 4)
    assert told.look(first) == []
    told.now += 0.01  # no look is in time to the microsecond
    (move,) = told.look(second)
    assert move.workers == 3, "by its work, and not doubled because that is not known"


def test_busy_cpus_hold_it() -> None:
    told = Told()
    told.machine = replace(MACHINE, cpu=7.3)
    assert told.look(*growing()) == []
    assert told.scaler.why == "requests wait 500 ms, and all CPUs are busy"


def test_no_more_workers_are_added_than_cpus_are_left_for() -> None:
    told = Told()
    told.machine = MachineLook(cpus=4, cpu=2.6)
    (move,) = told.look(*growing(replace(FULL, cpu=2.0)))
    assert move.workers == 3


@pytest.mark.parametrize(("used", "workers"), [(500, 4), (700, 3), (750, 0)])
def test_memory_is_kept_for_a_canary_and_the_kernel(used: int, workers: int) -> None:
    told = Told()
    told.machine = replace(MACHINE, memory=used * MEGABYTE, memory_limit=1000 * MEGABYTE)
    moves = told.look(*growing(replace(FULL, rss=100 * MEGABYTE)))
    assert [move.workers for move in moves] == ([workers] if workers else [])
    assert workers or told.scaler.why.endswith("there is no memory for one worker more")


def test_above_the_limit_of_memory_workers_go_one_by_one() -> None:
    told = Told()
    told.machine = replace(MACHINE, memory=960, memory_limit=1000)
    busy = replace(FULL, workers=4, ready=4)
    assert told.look(busy) == [Move(3, 4, "96% of the memory is in use")]
    assert told.look(*[replace(busy, workers=3, ready=3)] * int(CALMED_AFTER - 1)) == []
    assert [move.workers for move in told.look(replace(busy, workers=3, ready=3))] == [2]
    assert told.quiet(60, FULL) == []


def test_memory_that_starting_workers_will_take_costs_no_worker() -> None:
    told = Told()
    told.machine = replace(MACHINE, memory=900, coming=90, memory_limit=1000)
    assert told.look(replace(FULL, workers=4, ready=3, starting=1)) == []
    told.machine = replace(MACHINE, memory=500, coming=400, memory_limit=1000)
    assert told.look(*growing(replace(FULL, rss=100))) == []
    assert told.scaler.why.endswith("there is no memory for one worker more")


def test_of_a_large_machine_no_more_than_a_gigabyte_is_kept_free() -> None:
    told, gigabyte = Told(), 1024 * MEGABYTE
    told.machine = replace(MACHINE, memory=62 * gigabyte, memory_limit=64 * gigabyte)
    four = replace(FULL, workers=4, ready=4, slots=16, running=16, rss=100 * MEGABYTE)
    assert [move.workers for move in told.look(*growing(four))] == [6]
    told.machine = replace(told.machine, memory=64 * gigabyte - 400 * MEGABYTE)
    assert [move.workers for move in told.look(four)] == [3]


def test_at_the_most_it_is_held() -> None:
    told = Told()
    assert told.look(*growing(replace(FULL, workers=8, ready=8, slots=32, running=32))) == []
    assert told.scaler.why == "requests wait 500 ms, and it may have no more workers"


def test_a_worker_that_is_not_needed_goes_after_its_time() -> None:
    told = Told()
    idle = PoolLook(workers=3, ready=3, slots=12, running=5)
    assert told.quiet(59, idle) == []
    assert told.quiet(1, idle) == [
        Move(2, 3, "for 60 s 5 of 12 slots were in use at most, and nobody waited")
    ]


def test_the_busiest_look_counts() -> None:
    told = Told()
    idle = PoolLook(workers=3, ready=3, slots=12, running=1)
    assert told.look(*[idle] * 20, replace(idle, running=8)) == []
    assert told.quiet(59, idle) == []  # 8 would be too many for two
    assert told.quiet(5, idle)


def test_a_wait_begins_the_time_anew() -> None:
    told = Told()
    idle = PoolLook(workers=3, ready=3, slots=12)
    assert told.look(*[idle] * 50, replace(idle, wait=4.5), *[idle] * 59) == []
    assert told.quiet(1, idle)


def test_a_quarter_goes_at_once_at_most() -> None:
    told = Told()
    assert [move.workers for move in told.quiet(60, PoolLook(workers=8, ready=8, slots=32))] == [6]


def test_a_reload_lets_it_grow_and_not_shrink() -> None:
    told = Told()
    assert told.look(*[PoolLook(workers=8, ready=8, slots=32)] * 99, reloading=True) == []
    assert told.look(*growing(), reloading=True)


def test_cpu_of_event_loops_keeps_workers() -> None:
    told = Told()
    loops = PoolLook(workers=4, ready=4, slots=40_000, cpu=2.2)
    assert told.quiet(200, loops) == []
    (move,) = Told().quiet(60, replace(loops, cpu=1.4))
    assert move == Move(3, 4, "for 60 s its workers used 1.4 CPUs at most, and nobody waited")


def test_late_loops_that_are_busy_are_doubled_and_blocked_ones_get_one_more() -> None:
    loops = PoolLook(workers=3, ready=3, slots=30_000, cpu=2.9, lag=0.4)
    (move,) = Told().look(loops, loops)
    assert move == Move(6, 3, "event loops were late by 400 ms, for longer than 100 ms")
    blocked = replace(loops, cpu=0.2)
    assert [move.workers for move in Told().look(blocked, blocked)] == [4]


def test_workers_from_elsewhere_do_their_part() -> None:
    told = Told()
    many = PoolLook(workers=3, ready=3, elsewhere=3, slots=24, running=12)
    assert [move.workers for move in told.quiet(60, many)] == [2]
    alone = replace(many, elsewhere=0, slots=12, running=9)
    assert Told().quiet(60, alone) == []


def test_a_number_beyond_new_bounds_is_brought_back() -> None:
    told = Told()
    told.scaler.configure(ScalerSettings(least=2, most=4))
    assert told.look(replace(IDLE, workers=6, ready=6)) == [
        Move(4, 6, "it shall have 2 to 4 workers")
    ]


# -- over time, in a simulation ----------------------------------------------------------------


def step(low: float, high: float) -> Scenario:
    """Much work from the second 60 to 240, and little before and after."""
    return Scenario(rate=lambda t: high if 60 <= t < 240 else low, most_rate=high)


def test_a_step_is_followed_within_two_starts() -> None:
    pool = Threads(step(20, 200)).run(700)
    assert [move.workers for _, move in pool.moves[:2]] == [4, 8]
    assert pool.longest_wait(0, 60) < 0.1
    assert pool.longest_wait(75, 240) < 0.1
    assert pool.moments[-1].workers == 2
    assert len(pool.moves) == 8, "once up, once down"


def test_what_waits_inside_of_workers_is_followed_as_well() -> None:
    """Eight gateway processes have given the workers all that waits, a little more each second."""
    pool = Threads(replace(step(20, 84), gateways=8)).run(400)
    assert pool.longest_wait(60, 240) < 0.7
    assert pool.moments[-1].workers == 2
    assert len(pool.moves) < 8, "it does not flap"


def test_a_slow_start_is_waited_for() -> None:
    """A start takes 20 seconds: the naive rule would order at each of them."""
    pool = Threads(replace(step(20, 200), start_time=20.0)).run(300)
    assert [move.workers for _, move in pool.moves] == [4, 8]
    assert pool.longest_wait(135, 240) < 0.2


def test_a_burst_that_comes_again_keeps_its_workers() -> None:
    burst = Scenario(rate=lambda t: 200 if t % 120 < 10 and t > 30 else 20, most_rate=200)
    pool = Threads(burst).run(3_600)
    assert pool.longest_wait(120, 240) > 1  # the first one
    late = [wait for at, wait in pool.waits if at > 500 and wait > 0.5]
    assert len(late) < 50
    assert len(pool.moves) < 12


def test_a_slow_wave_is_followed_without_flapping() -> None:
    wave = Scenario(rate=lambda t: 120 - 100 * math.cos(t * math.tau / 900), most_rate=220)
    pool = Threads(wave).run(2_700)
    turns = sum(
        (a.workers > a.before) != (b.workers > b.before)
        for (_, a), (_, b) in zip(pool.moves, pool.moves[1:], strict=False)
    )
    assert turns <= 6, "up and down once for each of three waves"
    assert pool.longest_wait(0, 2_700) < 1
    spent = sum(moment.workers for moment in pool.moments)
    assert spent < 0.75 * 8 * len(pool.moments), "it costs less than eight workers all the time"


def test_a_leak_never_reaches_the_limit() -> None:
    leak = Scenario(
        rate=lambda t: 220, most_rate=220, leak=MEGABYTE // 2, memory_limit=1_200 * MEGABYTE
    )
    pool = Threads(leak).run(500)
    assert max(moment.memory for moment in pool.moments) < leak.memory_limit
    assert pool.moments[-1].workers < 8
    recycled = Threads(replace(leak, lifetime=60.0)).run(500)
    assert recycled.moments[-1].workers >= 6


def test_event_loops_grow_by_their_lag_and_shrink_by_their_cpu() -> None:
    loops = replace(step(20, 250), service=0.02, cpu_share=1.0)
    pool = EventLoops(replace(loops, settings=ScalerSettings(least=1, most=8))).run(700)
    assert pool.longest_wait(90, 240) < 0.3
    assert max(moment.workers for moment in pool.moments) >= 7
    assert pool.moments[-1].workers <= 2


def test_more_work_than_the_cpus_can_do_brings_no_more_workers_than_they_carry() -> None:
    """Calls need nothing but CPU, and there are two."""
    loops = Scenario(
        rate=lambda t: 300, most_rate=300, service=0.02, cpu_share=1.0, cpus=2.0,
        settings=ScalerSettings(least=1, most=8),
    )  # fmt: skip
    pool = EventLoops(loops).run(60)
    assert pool.moments[-1].workers == 2
    assert pool.scaler.why.endswith("all CPUs are busy")


def test_regret_is_bounded_and_forgotten() -> None:
    told = Told(idle_time=10.0)
    three = PoolLook(workers=3, ready=3, slots=12)
    for _ in range(6):
        while not told.look(three):
            pass
        assert told.look(*growing(replace(FULL, queued=1), 1))
    assert told.scaler.patience == 10 * MOST_REGRET
    for _ in range(5):
        while not told.look(three):
            pass
    assert told.scaler.patience == 10
