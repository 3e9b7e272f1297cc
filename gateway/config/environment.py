"""The app's environment: --env, and the files of --env-file where nothing else says otherwise."""

from collections.abc import Mapping
from logging import getLogger

from .faults import Fault
from .options import Options
from .reading import Reading
from .sources import Sources


def app_environment(
    options: Options, found: Sources, reading: Reading, environ: Mapping[str, str]
) -> dict[str, str]:
    """What workers have in their environment besides our own `environ`. A file yields to `environ`
    and to the files after it, as python-dotenv's users know it."""
    variables: dict[str, str] = {}
    for path in options.env_file:
        variables |= _of_file(path, found["env_file"].origin, reading)
    variables = {name: text for name, text in variables.items() if name not in environ}
    for text in options.env:
        name, _, value = text.partition("=")
        variables[name] = value
    return variables


def _of_file(path: str, origin: str, reading: Reading) -> dict[str, str]:
    import dotenv  # only here: the command is light

    getLogger("dotenv.main").setLevel("ERROR")  # it warns of a line; the note below names the file
    try:
        with open(path, encoding="utf-8-sig") as stream:
            found = dotenv.dotenv_values(stream=stream)
    except OSError as error:
        reading.faults.append(Fault(origin, f"{path} cannot be read: {error.strerror}"))
        return {}
    except ValueError:
        reading.faults.append(Fault(origin, f"{path} is not UTF-8"))
        return {}
    bare = [name for name, text in found.items() if text is None]
    if bare:
        reading.notes.append(f"{path}: left out, because they have no value: {', '.join(bare)}")
    return {name: text for name, text in found.items() if text is not None and "\0" not in text}
