"""Limits and counts of memory, of files as kernels write them."""

from pathlib import Path

import pytest
from propylon.gateway.config.memory import (
    MemoryUse,
    memory_limit,
    memory_of_machine,
    memory_use,
    memory_use_without_files,
    oom_kills,
)

MB = 2**20
V2 = "0::{path}\n"
V1 = "9:name=systemd:/\n4:memory:{path}\n2:cpu,cpuacct:/other\n"
EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "limit"),
    [
        ("", {}, None),
        (V2.format(path="/"), {"memory.max": "max\n", "memory.high": "max\n"}, None),
        (V2.format(path="/"), {"memory.max": f"{512 * MB}\n"}, 512),
        (V2.format(path="/"), {"memory.max": f"{512 * MB}", "memory.high": f"{400 * MB}"}, 400),
        # Kubernetes: the pod has less than the container; seen from the machine.
        (
            V2.format(path="/kubepods/pod1/c1"),
            {
                "kubepods/pod1/c1/memory.max": f"{512 * MB}",
                "kubepods/pod1/memory.max": f"{300 * MB}",
                "kubepods/memory.max": "max",
            },
            300,
        ),
        # Seen from a container with the machine's namespace of groups: the path is not there.
        (V2.format(path="/kubepods/pod1/c1"), {"memory.max": f"{256 * MB}"}, 256),
        (V2.format(path="/../../x"), {"memory.max": f"{256 * MB}"}, 256),
        # Nothing is read outside of the mounted tree.
        (V2.format(path="/.."), {"memory.max": f"{256 * MB}", "../memory.max": f"{MB}"}, 256),
        (V1.format(path="/"), {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        (V1.format(path="/docker/1"), {"memory/memory.limit_in_bytes": f"{128 * MB}\n"}, 128),
        # Version 1 says what groups have that cannot be seen.
        (
            V1.format(path="/docker/1"),
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.stat": f"cache 0\nrss 1\nhierarchical_memory_limit {64 * MB}\n",
            },
            64,
        ),
        # Both versions at once: 1 has the controller.
        (
            V1.format(path="/a") + V2.format(path="/"),
            {"memory/a/memory.limit_in_bytes": f"{99 * MB}", "cgroup.procs": ""},
            99,
        ),
        (V2.format(path="/"), {"memory.max": "many"}, None),
        (V2.format(path="/"), {"memory.max": "0"}, None),
    ],
)
def test_the_limit(tmp_path: Path, cgroup: str, files: dict[str, str], limit: int | None) -> None:
    found = memory_limit(machine(tmp_path, cgroup, files))
    assert found == (limit * MB if limit else None)


@pytest.mark.parametrize(
    ("cgroup", "files", "count"),
    [
        ("", {}, None),
        (V2.format(path="/"), {}, None),
        (V2.format(path="/"), {"memory.events": EVENTS}, 2),
        (V2.format(path="/"), {"memory.events": f"group_oom_kill 9\n{EVENTS}"}, 2),
        (
            V2.format(path="/a/b"),
            {"a/b/memory.events": EVENTS, "memory.events": "oom_kill 9\n"},
            2,
        ),
        (V1.format(path="/docker/1"), {"memory/memory.oom_control": CONTROL}, 7),
        # Before Linux 4.13.
        (V1.format(path="/"), {"memory/memory.oom_control": "under_oom 0\n"}, None),
    ],
)
def test_the_count_of_kills(
    tmp_path: Path, cgroup: str, files: dict[str, str], count: int | None
) -> None:
    assert oom_kills(machine(tmp_path, cgroup, files)) == count


def test_the_machine_s_memory(tmp_path: Path) -> None:
    assert memory_of_machine(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:        4030436 kB\nMemFree: 5 kB\n")
    assert memory_of_machine(tmp_path) == 4030436 * 1024


MEMINFO = "MemTotal: 8192 kB\nMemFree: 100 kB\nMemAvailable: 2048 kB\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "meminfo", "use"),
    [
        ("", {}, "", None),
        ("", {}, MEMINFO, MemoryUse(6 * MB, 8 * MB)),
        (
            V2.format(path="/"),
            {
                "memory.max": f"{512 * MB}",
                "memory.current": f"{300 * MB}\n",
                "memory.stat": f"anon 1\ninactive_file {100 * MB}\nactive_file 7\n",
            },
            "",
            MemoryUse(200 * MB, 512 * MB),
        ),
        # The pod is nearer to its end than the container.
        (
            V2.format(path="/pod/c"),
            {
                "pod/c/memory.max": f"{100 * MB}",
                "pod/c/memory.current": f"{50 * MB}",
                "pod/memory.max": f"{120 * MB}",
                "pod/memory.current": f"{110 * MB}",
            },
            "",
            MemoryUse(110 * MB, 120 * MB),
        ),
        # The machine is nearer still.
        (
            V2.format(path="/"),
            {"memory.max": f"{100 * MB}", "memory.current": f"{50 * MB}"},
            MEMINFO,
            MemoryUse(6 * MB, 8 * MB),
        ),
        (
            V1.format(path="/d"),
            {
                "memory/d/memory.limit_in_bytes": f"{64 * MB}",
                "memory/d/memory.usage_in_bytes": f"{60 * MB}",
                "memory/d/memory.stat": f"cache 1\ntotal_inactive_file {20 * MB}\n",
            },
            "",
            MemoryUse(40 * MB, 64 * MB),
        ),
        (V2.format(path="/"), {"memory.max": "max", "memory.current": "9"}, "", None),
    ],
)
def test_what_is_in_use(
    tmp_path: Path, cgroup: str, files: dict[str, str], meminfo: str, use: MemoryUse | None
) -> None:
    root = machine(tmp_path, cgroup, files)
    (root / "proc/meminfo").write_text(meminfo)
    assert memory_use(root) == use


@pytest.mark.parametrize(
    ("cgroup", "folder", "limit", "current", "prefix"),
    [
        (V2.format(path="/"), "", "high", "current", ""),
        (V1.format(path="/d"), "memory/d/", "limit_in_bytes", "usage_in_bytes", "total_"),
    ],
)
def test_files_that_are_sent_again_and_again_do_not_fill_a_group(
    tmp_path: Path, cgroup: str, folder: str, limit: str, current: str, prefix: str
) -> None:
    stat = f"anon 1\n{prefix}inactive_file {20 * MB}\n{prefix}active_file {30 * MB}\n"
    files = {limit: f"{64 * MB}", current: f"{63 * MB}", "stat": stat}
    folder += "memory."
    root = machine(tmp_path, cgroup, {folder + name: text for name, text in files.items()})
    (root / "proc/meminfo").write_text("")
    assert memory_use(root) == MemoryUse(43 * MB, 64 * MB)
    assert memory_use_without_files(root) == MemoryUse(13 * MB, 64 * MB)


def test_the_use_of_this_machine_is_below_its_limit() -> None:
    found = memory_use()
    assert found is None or 0 < found.used <= found.limit
