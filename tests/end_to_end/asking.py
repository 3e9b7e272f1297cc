"""Clients in threads, which ask for as long as a block lasts."""

import threading
from collections.abc import Callable
from typing import Self


class UntilOver:
    """Functions that run meanwhile, each in a thread, and end when `over` is set."""

    def __init__(self, *functions: Callable[[], object]) -> None:
        self.over = threading.Event()
        self._threads = [threading.Thread(target=function) for function in functions]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
