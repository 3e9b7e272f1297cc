import signal

import pytest
from propylon.gateway.supervisor.process.exit_reason import exit_hint, exit_kind, exit_words


@pytest.mark.parametrize(
    ("code", "kind", "words", "hint"),
    [
        (0, "exited", "exited with code 0", ""),
        (3, "crash", "exited with code 3", ""),
        (-signal.SIGKILL, "killed", "was killed by SIGKILL", "out of memory?"),
        (-signal.SIGSEGV, "crash", "was killed by SIGSEGV", "a fault in native code"),
        (-40, "crash", "was killed by signal 40", ""),
    ],
)
def test_an_exit_code_in_words(code: int, kind: str, words: str, hint: str) -> None:
    assert (exit_kind(code), exit_words(code), exit_hint(code)) == (kind, words, hint)
