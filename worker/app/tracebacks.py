"""Tracebacks for the app's developer, with the app's frames only.

A traceback that begins in a server's machinery hides the line that matters. Frames of the worker
and of the import system are cut out, in the exception itself and in every exception that it is
chained to.
"""

import os
import traceback
from types import TracebackType
from typing import Final, cast

_WORKER: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OURS: Final = (_WORKER + os.sep, "<frozen importlib")
_IMPORTLIB: Final = os.path.join("importlib", "__init__.py")


def strip_frames(error: BaseException) -> BaseException:
    """Cuts our frames out of the exception, in place, and returns it."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        # Not by assignment, which an exception may forbid, as a frozen dataclass does.
        BaseException.with_traceback(each, _without_ours(each.__traceback__))
        waiting += [e for e in (each.__cause__, each.__context__) if e is not None]
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions
    return error


def app_traceback(error: BaseException) -> str:
    """The traceback as a text that begins with the app's first frame."""
    return "".join(traceback.format_exception(strip_frames(error)))


def summary(error: BaseException) -> str:
    """The exception in one line: `ValueError: bad value`."""
    return " ".join("".join(traceback.format_exception_only(error)).split())


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not filename.startswith(_OURS) and not filename.endswith(_IMPORTLIB):
            kept.append(trace)
        trace = trace.tb_next
    rebuilt: TracebackType | None = None
    for each in reversed(kept):
        rebuilt = TracebackType(rebuilt, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return rebuilt
