"""The flags with which a supervisor of the version before (commit bf5b85c) starts a worker, read as
settings. To be dropped when nobody upgrades from there any more."""

from collections.abc import Sequence
from typing import Any, Final, get_origin, get_type_hints

from .settings import WorkerSettings, settings_of

RENAMED: Final = {"--python-path": "pythonpath", "--slots": "limit_concurrency"}
"""Flag -> its setting, if that has another name."""


def read_flags(words: Sequence[str]) -> WorkerSettings:
    """Reads a command line, without the program's name: the app, then `--name=value` for each
    setting. What is no setting is ignored. Raises SettingsError."""
    kinds = get_type_hints(WorkerSettings)
    found: dict[str, Any] = {"app": words[0]}
    for word in words[1:]:
        flag, _, text = word.partition("=")
        name = RENAMED.get(flag, flag.removeprefix("--").replace("-", "_"))
        kind = kinds.get(name)
        if kind is bool:
            found[name] = True
        elif get_origin(kind) is Sequence:
            found.setdefault(name, []).append(text)
        elif name == "limit_concurrency":
            found[name] = int(text)
        elif kind is int or kind is float:
            found[name] = kind(text)
        else:
            found[name] = text
    return settings_of(found)
