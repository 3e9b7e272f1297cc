"""LISTEN_FDS and its companions."""

import pytest
from propylon.gateway.listen.activation import Activation, read_activation
from propylon.gateway.listen.address import InheritedAddress, NamedSocket

ME = 17


def fds(*numbers: int) -> tuple[InheritedAddress, ...]:
    return tuple(map(InheritedAddress, numbers))


def env(**variables: str) -> dict[str, str]:
    return {f"LISTEN_{name}": value for name, value in variables.items()}


@pytest.mark.parametrize(
    ("environ", "activation"),
    [
        ({}, Activation()),
        (env(FDS="2"), Activation()),
        (env(PID="17"), Activation()),
        (env(FDS="0", PID="17"), Activation()),
        (env(FDS="2", PID="17"), Activation(fds(3, 4))),
        (env(FDS="2", PID="17", FDNAMES="web:admin"), Activation(fds(3, 4), ("web", "admin"))),
    ],
)
def test_read(environ: dict[str, str], activation: Activation) -> None:
    assert read_activation(environ, ME) == activation


def test_another_process_s_sockets() -> None:
    activation = read_activation(env(FDS="1", PID="16"), ME)
    assert activation.sockets == ()
    assert activation.note == (
        "systemd's sockets are for process 16, and this is 17; if a shell starts it, let it exec"
    )


@pytest.mark.parametrize(
    ("count", "pid"), [("x", "17"), ("1", "x"), ("-1", "17"), ("+1", "17"), ("4097", "17")]
)
def test_no_numbers(count: str, pid: str) -> None:
    with pytest.raises(ValueError, match="are not two numbers"):
        read_activation(env(FDS=count, PID=pid), ME)


def test_called() -> None:
    activation = read_activation(env(FDS="3", PID="17", FDNAMES="web:admin:web"), ME)
    assert activation.called(NamedSocket("web")) == fds(3, 5)
    assert activation.called(NamedSocket("admin")) == fds(4)
    with pytest.raises(ValueError, match=r"no socket is called x .*: those .* called web, admin"):
        activation.called(NamedSocket("x"))
    with pytest.raises(ValueError, match="none was handed over"):
        Activation().called(NamedSocket("x"))
