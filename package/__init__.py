"""Propylon: an HTTP gateway in front of worker processes that host your ASGI or WSGI app.

    import propylon

    propylon.run("main:app", host="0.0.0.0", port=8000, workers=4)

Workers import this package too, so it loads nothing before it is asked for it.
"""

from typing import Any

__all__ = ["__version__", "run"]


def run(app: Any = None, *, config: str | None = None, **options: Any) -> None:
    """Serves `app` until Ctrl-C or SIGTERM, as `propylon serve` does with the same options.

    `app` is a text, "module:attribute", or an app that is a global of some module; with None the
    configuration file names it. Options are those of `propylon serve`, with underscores:
    `timeout_keep_alive=5`; uvicorn's are understood. `config` names a TOML file. Call it under
    `if __name__ == "__main__":`, because workers import the module of the app again. Returns when
    the service has stopped well. Otherwise it raises SystemExit with the exit code, after a
    sentence on standard error, or RuntimeError if it is called while a worker imports the app.
    """
    from .__main__ import refuse_other_systems

    refuse_other_systems()
    from .gateway.program import serve

    serve(app, config, options)


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("propylon")
