"""What `-w auto` counts, of files as the kernel writes them."""

import os
from pathlib import Path

import pytest
from propylon.gateway.config.cpus import (
    CpuUse,
    cpu_limit,
    cpu_uses,
    least,
    smallest,
    usable_cpus,
    workers_of,
)

V2 = "0::{path}\n"
V1 = "9:name=systemd:/\n4:memory:/other\n2:cpu,cpuacct:{path}\n1:cpuset:/\n"


def machine(root: Path, cgroup: str, files: dict[str, str]) -> None:
    """Files as the kernel writes them, below a root of our own."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("cgroup", "files", "cpus"),
    [
        # No control group, none with a limit, and what makes no sense.
        ("", {}, 8),
        (V2.format(path="/"), {"cpu.max": "max 100000"}, 8),
        (V2.format(path="/"), {"cpu.max": ""}, 8),
        (V2.format(path="/"), {"cpu.max": "many 100000"}, 8),
        (V2.format(path="/"), {"cpu.max": "100000 0"}, 8),
        (V1.format(path="/"), {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "1"}, 8),
        # Docker's --cpus, Kubernetes' limits.cpu: rounded up, at least one, at most what there is.
        (V2.format(path="/"), {"cpu.max": "200000 100000"}, 2),
        (V2.format(path="/"), {"cpu.max": "150000 100000"}, 2),
        (V2.format(path="/"), {"cpu.max": "10000 100000"}, 1),
        (V2.format(path="/"), {"cpu.max": "6400000 100000"}, 8),
        # A group of systemd's, below one that has less.
        (
            V2.format(path="/system.slice/app.service"),
            {
                "system.slice/app.service/cpu.max": "400000 100000",
                "system.slice/cpu.max": "300000 100000",
            },
            3,
        ),
        (
            V2.format(path="/system.slice/app.service"),
            {"system.slice/app.service/cpu.max": "max 100000", "cpu.max": "500000 100000"},
            5,
        ),
        # Seen from a container whose files are its own, by a path that is the host's.
        (V2.format(path="/kubepods/pod1/c1"), {"cpu.max": "200000 100000"}, 2),
        (V2.format(path="/../../x"), {"cpu.max": "200000 100000"}, 2),
        (
            V1.format(path="/docker/1234"),
            {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            V1.format(path="/docker/1234"),
            {
                "cpu,cpuacct/docker/1234/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/docker/1234/cpu.cfs_period_us": "50000",
            },
            1,
        ),
        # Both versions at once: 1 has the controller.
        (
            V1.format(path="/") + V2.format(path="/"),
            {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"},
            4,
        ),
    ],
)
def test_the_control_group_s_quota(
    tmp_path: Path, cgroup: str, files: dict[str, str], cpus: int
) -> None:
    machine(tmp_path, cgroup, files)
    assert least(8, tmp_path) == cpus


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (3, (3, 3)),
        ("auto", (4, 4)),
        ("2..8", (2, 8)),
        ("1..auto", (1, 4)),
        ("6..auto", (6, 6)),
        ("auto..8", (4, 8)),
        ("auto..2", (2, 2)),
    ],
)
def test_the_numbers_of_workers(value: int | str, numbers: tuple[int, int]) -> None:
    assert workers_of(value, 4) == numbers


def test_a_part_of_a_cpu_is_known(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(V2.format(path="/"))
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("150000 100000")
    assert smallest(8, tmp_path) == 1.5
    assert smallest(1, tmp_path) == 1


def test_without_files_it_is_the_affinity(tmp_path: Path) -> None:
    assert least(3, tmp_path) == 3
    assert 0 < cpu_limit() <= len(os.sched_getaffinity(0))
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("cgroup", "files", "uses"),
    [
        ("", {}, {}),
        (V2.format(path="/"), {"cpu.max": "max 100000", "cpu.stat": "usage_usec 5"}, {}),
        (V2.format(path="/"), {"cpu.max": "200000 100000", "cpu.stat": "user_usec 5"}, {}),
        (
            V2.format(path="/a"),
            {
                "a/cpu.max": "200000 100000",
                "a/cpu.stat": "usage_usec 2500000\nuser_usec 9\n",
                "cpu.max": "400000 100000",
                "cpu.stat": "usage_usec 7000000\n",
            },
            {"a": CpuUse(2.5, 2), "": CpuUse(7, 4)},
        ),
        (
            V1.format(path="/"),
            {
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "cpu/cpuacct.usage": "1500000000\n",
            },
            {"cpu": CpuUse(1.5, 0.5)},
        ),
    ],
)
def test_what_all_processes_of_a_group_have_used(
    tmp_path: Path, cgroup: str, files: dict[str, str], uses: dict[str, CpuUse]
) -> None:
    machine(tmp_path, cgroup, files)
    folder = tmp_path / "sys/fs/cgroup"
    assert cpu_uses(tmp_path) == {str(folder / name): use for name, use in uses.items()}
