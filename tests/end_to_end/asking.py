"""Clients in threads, which ask for as long as a block lasts."""

import threading
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection
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


class Crowd(UntilOver):
    """Clients that ask one after the other, each as soon as it has its answer."""

    def __init__(self, port: int, clients: int) -> None:
        super().__init__(*[partial(self._ask, port)] * clients)
        self.statuses: list[int] = []

    def _ask(self, port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        while not self.over.is_set():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            self.statuses.append(response.status)
        connection.close()
