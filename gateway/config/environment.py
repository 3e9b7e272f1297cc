"""The app's environment: the variables of --env, and those of the files of --env-file."""

from collections.abc import Mapping
from logging import getLogger

from .faults import Fault
from .options import Options
from .reading import Reading
from .sources import Sources


def app_environment(
    options: Options, found: Sources, reading: Reading, environ: Mapping[str, str]
) -> dict[str, str]:
    """The variables that workers have besides `environ`. A file's variable yields to `environ` and
    to the files after it, as users of python-dotenv expect; --env wins over all of them."""
    variables: dict[str, str] = {}
    for path in options.env_file:
        variables |= _of_file(path, found["env_file"].origin, reading)
    variables = {name: text for name, text in variables.items() if name not in environ}
    for text in options.env:
        name, _, value = text.partition("=")
        variables[name] = value
    return variables


def _of_file(path: str, origin: str, reading: Reading) -> dict[str, str]:
    import dotenv  # imported here, so that commands start fast

    getLogger("dotenv.main").setLevel("ERROR")  # it names a line only; our note names the file
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
