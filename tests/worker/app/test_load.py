"""From `module:attr` to an app, and every sentence that says why not."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from propylon.worker.app.interface import interface_of
from propylon.worker.app.load import AppLoadError, LoadedApp, load_app
from propylon.worker.settings import WorkerSettings

from ..gateway_peer import WorkerProcess

SOURCE = """
async def app(scope, receive, send): ...
def application(environ, start_response): return []
def make_app(): return app
def make_with_argument(config): return app
def make_broken(): raise RuntimeError("no settings")
def make_nothing(): return None
def asgi2(scope): return app
def odd(a, b, c, d): ...
def anything(*args): ...
class Holder:
    app = application
holder = Holder()
number = 5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    (tmp_path / "main.py").write_text(SOURCE)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(project: Path, app: str, **options: Any) -> LoadedApp:
    return load_app(WorkerSettings(app=app, run_dir="", app_dir=str(project), **options))


def refusal(project: Path, app: str, **options: Any) -> AppLoadError:
    with pytest.raises(AppLoadError) as caught:
        load(project, app, **options)
    return caught.value


@pytest.mark.parametrize(
    ("app", "options", "name", "interface"),
    [
        ("main:app", {}, "main:app", "asgi"),
        ("main", {}, "main:app", "asgi"),
        ("main:application", {}, "main:application", "wsgi"),
        ("main:Holder.app", {}, "main:Holder.app", "wsgi"),
        ("main:make_app", {"factory": True}, "main:make_app", "asgi"),
        ("main:anything", {"interface": "wsgi"}, "main:anything", "wsgi"),
    ],
)
def test_found(project: Path, app: str, options: Any, name: str, interface: str) -> None:
    loaded = load(project, app, **options)
    assert (loaded.name, loaded.interface) == (name, interface)


@pytest.mark.parametrize(
    ("files", "app", "words"),
    [
        (
            {"pkg/main.py": "from .other import x"},
            "main",
            "it is part of a package: go one directory up, and say {name}.main",
        ),
        (
            {"pkg/main.py": "from other import x", "pkg/other.py": "x = 1"},
            "pkg.main",
            "pkg/ has it: import it as pkg.other, or start with --app-dir pkg and without that "
            "prefix",
        ),
        (
            {"bottle.py": "from bottle import Bottle\napp = Bottle()"},
            "bottle",
            "{dir}/bottle.py hides the package bottle: give that file another name",
        ),
        (
            {"web.py": "from bottle import Bottle", "bottle.py": "from bottle import Bottle"},
            "web:app",
            "{dir}/bottle.py hides the package bottle: give that file another name",
        ),
    ],
)
def test_an_import_that_goes_wrong_because_of_where_files_lie(
    project: Path, files: dict[str, str], app: str, words: str
) -> None:
    for name, text in files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    folder = project / "pkg" if app == "main" else project
    message = refusal(folder, app).message
    assert message.endswith(words.format(dir=project, name=folder.name))


@pytest.mark.parametrize(("app", "wanted"), [("app", "wsgi"), ("application", "asgi")])
def test_an_app_that_is_served_as_what_it_is_not(
    project: Path, app: str, wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(project, f"main:{app}", interface=wanted).interface == wanted
    assert f"and is served as {wanted.upper()} because" in caplog.text


def test_a_name_that_python_uses_itself(project: Path) -> None:
    (project / "site").mkdir()
    (project / "site" / "wsgi.py").write_text(SOURCE)
    (project / "queue.py").write_text(SOURCE)
    for app, name in (("site.wsgi", "site"), ("queue:app", "queue"), ("queue", "queue")):
        message = refusal(project, app).message
        assert f"{name} is Python's own module, which is imported already" in message
        assert message.endswith(f"give {project / name} another name")


def test_application_is_the_second_choice(project: Path) -> None:
    (project / "second.py").write_text("def application(environ, start_response): ...")
    assert load(project, "second").name == "second:application"


@pytest.mark.parametrize(
    ("app", "options", "step", "words"),
    [
        ("mian:app", {}, "import", "there is no module 'mian' in {dir} nor among the installed "
         "packages; found there: main"),
        ("main.py:app", {}, "import", "a module is named with dots and without .py: main"),
        ("src/main.py:app", {}, "import", "without .py: src.main"),
        ("main.sub:app", {}, "import", "there is no module 'main.sub'"),
        ("main:", {}, "import", "'main:' is not of the form module:attribute"),
        (":app", {}, "import", "':app' is not of the form module:attribute"),
        ("..main:app", {}, "import", "'..main' is no module name"),
        ("main:ap", {}, "attribute", "module main has no attribute 'ap'; did you mean app"),
        ("main:zzz", {}, "attribute", "module main has no attribute 'zzz'; did you mean main:app "
         "or main:application?"),
        ("main.app", {}, "import", "there is no module 'main.app'; did you mean main:app?"),
        ("main:Holder.zzz", {}, "attribute", "Holder.zzz has no attribute 'zzz'"),
        ("main:number", {}, "attribute", "main:number is an int, which cannot be called; its "
         "callables are: app"),
        ("empty", {}, "attribute", "module empty has neither 'app' nor 'application'; it has no "
         "callables"),
        ("main:make_app", {}, "interface", "main:make_app takes no arguments: if it builds the "
         "app, say --factory"),
        ("main:asgi2", {}, "interface", "main:asgi2 speaks ASGI 2"),
        ("main:odd", {}, "interface", "takes neither (scope, receive, send) nor"),
        ("main:anything", {}, "interface", "say --interface asgi or --interface wsgi"),
        ("main:number", {"factory": True}, "factory", "main:number is an int, which builds no app"),
        ("main:make_with_argument", {"factory": True}, "factory", "cannot be called without "
         "arguments as a factory"),
        ("main:make_broken", {"factory": True}, "factory", "the factory main:make_broken raised "
         "RuntimeError: no settings"),
        ("main:make_nothing", {"factory": True}, "factory", "main:make_nothing gave a NoneType"),
        ("exits", {}, "import", "module exits raised SystemExit: 4"),
        ("wrong_syntax", {}, "import", "module wrong_syntax raised"),
        ("divides", {}, "import", "module divides raised ZeroDivisionError: division by zero"),
        ("needs", {}, "import", "module needs was found, but imports 'no_such_package', which is "
         "not installed here"),
    ],
)  # fmt: skip
def test_refused(project: Path, app: str, options: Any, step: str, words: str) -> None:
    (project / "empty.py").write_text("")
    (project / "exits.py").write_text("import sys\nsys.exit(4)")
    (project / "wrong_syntax.py").write_text("def (")
    (project / "divides.py").write_text("def half():\n    return 1 / 0\nhalf()")
    (project / "needs.py").write_text("import no_such_package")
    error = refusal(project, app, **options)
    assert error.step == step
    assert words.format(dir=project) in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("app", "source", "options"),
    [
        ("divides:app", "def half():\n    return 1 / 0\nhalf()", {}),
        ("divides:app", "import no_such_package", {}),
        ("divides:app", "def app():\n    raise ValueError", {"factory": True}),
    ],
)
def test_the_traceback_is_the_apps_own(project: Path, app: str, source: str, options: Any) -> None:
    (project / "divides.py").write_text(source)
    detail = refusal(project, app, **options).detail
    assert detail.startswith("Traceback")
    frames = [line for line in detail.splitlines() if line.startswith("  File ")]
    assert frames
    assert all(str(project) in frame for frame in frames)


def test_a_loaded_directory_is_first_on_the_path(project: Path) -> None:
    load(project, "main:app")
    assert sys.path[0] == str(project)


# -- interfaces --------------------------------------------------------------------------------


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...
def wsgi(environ: Any, start_response: Any) -> list[bytes]: ...
def passes_on(scope: Any, receive: Any, send: Any) -> Any: ...
async def bound(extra: Any, scope: Any, receive: Any, send: Any) -> None: ...
def wsgi_with_option(environ: Any, start_response: Any, debug: bool = False) -> Any: ...


class AsyncCall:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class PlainCall:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any: ...


class WsgiCall:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Asgi3Class:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...
    def __await__(self) -> Any: ...


class Asgi2Class:
    def __init__(self, scope: Any) -> None: ...
    async def __call__(self, receive: Any, send: Any) -> None: ...


class WsgiClass:
    def __init__(self, environ: Any, start_response: Any) -> None: ...
    def __iter__(self) -> Any: ...


class FilledSlot:
    """As sentry_sdk.integrations.asgi.SentryAsgiMiddleware."""

    __slots__ = ("__call__", "app")

    def __init__(self, app: Any) -> None:
        self.app = app
        self.__call__ = self._run_asgi3

    async def _run_asgi3(self, scope: Any, receive: Any, send: Any) -> None: ...


class EmptySlot:
    __slots__ = ("__call__",)


class PartialMethod:
    async def run(self, extra: Any, scope: Any, receive: Any, send: Any) -> None: ...

    __call__ = functools.partialmethod(run, 1)


class StaticCall:
    @staticmethod
    async def __call__(scope: Any, receive: Any, send: Any) -> None: ...


class ClassCall:
    @classmethod
    def __call__(cls, environ: Any, start_response: Any) -> Any: ...


class CallIsAProperty:
    @property
    def __call__(self) -> Any:
        return asgi


class CallIsAnObject:
    __call__ = FilledSlot(asgi)


class CallsItself:
    """A call of it never ends, and so does no look at it."""

    @property
    def __call__(self) -> Any:
        return self


class AsyncDelegate:
    async def __call__(self, *args: Any) -> None: ...


class Delegate:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.app(*args, **named)


def plainly_decorated(app: Any, *others: Any) -> Any:
    def decorated(*args: Any, **named: Any) -> Any:
        return others or app(*args, **named)

    return decorated


def decorated_by_itself() -> Any:
    def decorated(*args: Any) -> Any:
        return decorated

    return decorated


@functools.wraps(wsgi)
def wrapped(*args: Any) -> Any: ...


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        (asgi, "asgi"), (wsgi, "wsgi"), (passes_on, "asgi"), (AsyncCall(), "asgi"),
        (functools.partial(bound, 1), "asgi"), (functools.partial(passes_on, 1), "wsgi"),
        (PlainCall(), "asgi"), (WsgiCall(), "wsgi"), (wsgi_with_option, "wsgi"),
        (AsyncCall().__call__, "asgi"), (WsgiCall().__call__, "wsgi"), (Asgi3Class, "asgi"),
        (Asgi2Class, "asgi2"), (WsgiClass, "wsgi"), (WsgiCall, "factory"), (wrapped, "wsgi"),
        (FilledSlot(asgi), "asgi"), (EmptySlot(), "unknown"), (PartialMethod(), "asgi"),
        (functools.partial(FilledSlot(asgi)), "asgi"), (StaticCall(), "asgi"),
        (functools.partial(PartialMethod().run, 1), "asgi"), (ClassCall(), "wsgi"),
        (CallIsAProperty(), "asgi"), (CallIsAnObject(), "asgi"), (CallsItself(), "unknown"),
        (AsyncDelegate(), "asgi"), (Delegate(wsgi), "wsgi"), (Delegate(FilledSlot(1)), "asgi"),
        (Delegate(Delegate(asgi)), "asgi"), (Delegate(None), "unknown"),
        (plainly_decorated(wsgi), "wsgi"), (plainly_decorated(AsyncCall()), "asgi"),
        (plainly_decorated(lambda: asgi), "unknown"), (decorated_by_itself(), "unknown"),
        (lambda scope: asgi, "asgi2"), (lambda: asgi, "factory"), (lambda *args: [], "unknown"),
    ],
)  # fmt: skip
def test_interfaces(app: Any, kind: str) -> None:
    assert interface_of(app) == kind


@pytest.mark.parametrize(
    ("source", "interface"),
    [
        ("import flask; app = flask.Flask('x')", "wsgi"),
        ("import quart; app = quart.Quart('x')", "asgi"),
        ("import fastapi; app = fastapi.FastAPI()", "asgi"),
        ("import starlette.applications as s; app = s.Starlette()", "asgi"),
        (
            "from django.conf import settings; settings.configure(); "
            "from django.core.wsgi import get_wsgi_application; app = get_wsgi_application()",
            "wsgi",
        ),
        (
            "from django.conf import settings; settings.configure(); "
            "from django.core.asgi import get_asgi_application; app = get_asgi_application()",
            "asgi",
        ),
    ],
    ids=["flask", "quart", "fastapi", "starlette", "django-wsgi", "django-asgi"],
)
def test_frameworks(tmp_path: Path, source: str, interface: str) -> None:
    (tmp_path / "framework.py").write_text(source)
    worker = WorkerProcess("framework", tmp_path, "--app-dir", str(tmp_path))
    report = worker.report()
    worker.close()
    assert (report["event"], report.get("interface")) == ("ready", interface), report


# -- as a process ------------------------------------------------------------------------------


def test_a_worker_that_cannot_load_reports_and_prints_nothing(tmp_path: Path) -> None:
    worker = WorkerProcess("no_such_module:app", tmp_path)
    report = worker.report()
    assert (report["event"], report["step"], report["detail"]) == ("not_ready", "import", "")
    assert report["error"].startswith("there is no module 'no_such_module' in ")
    assert worker.wait() == 3
    assert worker.errors == ""
    worker.close()


def test_without_a_channel_it_says_so_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "divides.py").write_text("1 / 0")
    worker = WorkerProcess("divides", tmp_path, "--app-dir", str(tmp_path), channel=False)
    assert worker.wait() == 3
    assert worker.errors.startswith("Traceback")
    assert worker.errors.endswith(
        "ZeroDivisionError: division by zero\nmodule divides raised ZeroDivisionError: "
        "division by zero\n"
    )
    assert "propylon" not in worker.errors
    worker.close()


# -- beginners' mistakes ------------------------------------------------------------------------


@pytest.fixture
def django(project: Path) -> Path:
    """A project as django-admin makes it."""
    (project / "main.py").unlink()
    (project / "manage.py").write_text("def main(): ...\n")
    (project / "mysite").mkdir()
    for name, text in {
        "__init__": "",
        "settings": "DEBUG = True\n",
        "urls": "urlpatterns = []\n",
        "asgi": "def get_asgi_application(): return lambda s, r, e: None\n"
        "application = get_asgi_application()\n",
        "wsgi": "import mysite.settings\ndef get_wsgi_application(): return lambda e, s: None\n"
        "application = get_wsgi_application()\n",
    }.items():
        (project / "mysite" / f"{name}.py").write_text(text)
    return project


BOTH = "mysite.asgi:application or mysite.wsgi:application"


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("mysite", f"has neither 'app' nor 'application'; did you mean {BOTH}?"),
        ("mysite:wsgi", "has no attribute 'wsgi'; did you mean mysite.wsgi?"),
        ("mysite:app", f"has no attribute 'app'; did you mean {BOTH}?"),
        ("nosuch:app", "apps found there: mysite.asgi:application, mysite.wsgi:application"),
        ("mysit:app", "found there: mysite"),
        (
            "manage:app",
            "module manage has no attribute 'app'; its callables are: main; apps found here: "
            "mysite.asgi:application, mysite.wsgi:application",
        ),
    ],
)
def test_a_django_project_named_otherwise(django: Path, app: str, words: str) -> None:
    assert words in refusal(django, app).message


def test_a_module_where_an_app_is_expected(django: Path) -> None:
    (django / "main.py").write_text("import mysite.wsgi\nsite = mysite\n")
    said = refusal(django, "main:site").message
    assert said == f"main:site is a module; did you mean {BOTH}?"


@pytest.mark.parametrize("app", ["wsgi", "wsgi:application"])
def test_inside_the_package(django: Path, app: str) -> None:
    said = refusal(django / "mysite", app).message
    assert said == (
        "module wsgi was found, but imports 'mysite', which is not installed here: that is the "
        "directory itself; go one up, and say mysite.wsgi"
    )
    said = refusal(django / "mysite", "mysite.wsgi").message
    assert said.endswith("; that is the directory itself: go one up, or say --app-dir ..")


@pytest.mark.parametrize("folder", ["src", "backend"])
def test_a_layout_with_a_folder_in_between(project: Path, folder: str) -> None:
    (project / folder / "site_of_mine").mkdir(parents=True)
    (project / folder / "site_of_mine" / "main.py").write_text("app = 1\n")
    said = refusal(project, "site_of_mine.main:app").message
    assert said.endswith(f"; {folder}/ has it: say --app-dir {folder}")


@pytest.mark.parametrize(
    ("app", "factory", "words"),
    [
        ("main:app", True, "main:app is an app already, and no factory: leave --factory out"),
        ("main:application", True, "main:application is an app already, and no factory: leave"),
        ("main:make_app()", False, "a factory is named so: main:make_app --factory"),
        ("main:make_async", True, "the factory main:make_async is async, and is called without"),
    ],
)
def test_factories_mistaken(project: Path, app: str, factory: bool, words: str) -> None:
    (project / "main.py").write_text(f"{SOURCE}\nasync def make_async(): return app\n")
    assert words in refusal(project, app, factory=factory).message


def test_apps_of_a_flask_project_are_found_without_running_them(project: Path) -> None:
    (project / "main.py").unlink()
    (project / "one.py").write_text("raise SystemExit\napp = Flask(__name__)\n")
    (project / "two.py").write_text("def create_app(config=None): ...\n")
    said = refusal(project, "nosuch:app").message
    assert said.endswith("; apps found there: one:app, two:create_app --factory")
