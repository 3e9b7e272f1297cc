"""What is said of links that do not come, and after how long."""

import errno
import os
from pathlib import Path

import pytest
from propylon.protocol.errors import VersionMismatch
from propylon.worker.host.link_problems import FORGOTTEN_AFTER, NO_GATEWAY_AFTER, LinkProblems

HERE = Path("/run/p/default")
SOCKET = "/run/p/default/1.sock"


def kinds(problems: LinkProblems, now: float) -> list[str]:
    return [one.kind for one in problems.at(now)]


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_gateway_may_come_a_moment_later() -> None:
    problems = LinkProblems(HERE)
    problems.looked([], None, linked=False, now=10.0)
    assert kinds(problems, 10.0 + NO_GATEWAY_AFTER / 2) == []
    (missing,) = problems.at(10.0 + NO_GATEWAY_AFTER)
    assert missing.what == f"waiting for a gateway at {HERE}"
    problems.looked([SOCKET], None, linked=True, now=13.0)
    assert kinds(problems, 20.0) == []
    problems.looked([], None, linked=False, now=20.0)
    assert kinds(problems, 20.5) == [], "the time counts from the end of the last link"


def test_a_socket_that_a_crash_has_left_is_a_problem_only_without_another_gateway() -> None:
    problems = LinkProblems(HERE)
    problems.refused(SOCKET, error(errno.ECONNREFUSED))
    problems.looked([SOCKET], None, linked=True, now=0.0)
    assert kinds(problems, 9.0) == []
    problems.looked([SOCKET], None, linked=False, now=10.0)
    assert kinds(problems, 11.0) == []
    assert kinds(problems, 12.0) == ["dead socket"]
    problems.looked([], None, linked=False, now=12.0)
    assert kinds(problems, 12.0) == ["no gateway"], "it was removed"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EACCES, "permissions"), (errno.EROFS, "permissions")]
)
def test_a_denial_is_said_at_once_and_ends_with_it(number: int, kind: str) -> None:
    problems = LinkProblems(HERE)
    problems.refused(SOCKET, error(number))
    problems.looked([SOCKET], None, linked=False, now=0.0)
    (denied,) = problems.at(0.0)
    assert denied.kind == kind
    assert denied.what.startswith(f"no link to {SOCKET}: {os.strerror(number)}")
    assert kinds(problems, 9.0) == [kind], "and not that there is no gateway"
    problems.connected(SOCKET)
    assert kinds(problems, 1.0) == []


def test_who_may_and_is_denied_all_the_same_has_a_security_module(tmp_path: Path) -> None:
    path = tmp_path / "1.sock"
    path.touch()
    problems = LinkProblems(tmp_path)
    problems.refused(str(path), error(errno.EACCES))
    assert kinds(problems, 0.0) == ["access denied"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may always")
def test_the_owner_and_we_are_named(tmp_path: Path) -> None:
    path = tmp_path / "1.sock"
    path.touch(0o000)
    problems = LinkProblems(tmp_path)
    problems.refused(str(path), error(errno.EACCES))
    (denied,) = problems.at(0.0)
    assert denied.kind == "permissions"
    assert f"mode 0000; we are uid {os.geteuid()}" in denied.what


def test_a_directory_that_cannot_be_read() -> None:
    problems = LinkProblems(HERE)
    problems.looked([], error(errno.EACCES), linked=False, now=0.0)
    (unseen,) = problems.at(5.0)
    assert unseen.what.startswith(f"run directory {HERE} cannot be read: Permission denied")


@pytest.mark.parametrize(("ours", "older"), [((1, 1), "worker"), ((3, 4), "gateway")])
def test_another_version_names_both_and_the_older_image(ours: tuple[int, int], older: str) -> None:
    problems = LinkProblems(HERE)
    problems.differs(SOCKET, VersionMismatch(ours, (2, 2), 3), 1.0)
    (differs,) = problems.at(2.0)
    assert "speaks version 2 of the link protocol, and this worker version" in differs.what
    assert differs.remedy == f"update the image of the {older}, which is the older one"
    assert kinds(problems, 1.0 + FORGOTTEN_AFTER) == []
