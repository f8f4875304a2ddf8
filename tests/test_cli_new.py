"""``bench new``: what it writes where, what it tells the user to do, and what it refuses to write."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from cli import python_prints
from projects import Project

from bench.cli import new
from bench.errors import BenchError
from bench.registry import Kind, Registry
from bench.workspace import open_workspace

ROOT = Path(__file__).parent.parent
COMMANDS = {"method": new.method, "dataset": new.dataset, "protocol": new.protocol}
KINDS = pytest.mark.parametrize("kind", COMMANDS)


def files(project: Project) -> set[str]:
    return {path.relative_to(project.root).as_posix() for path in project.root.rglob("*") if path.is_file()}


def refused(kind: str, name: str, *parts: str, folder: Path | None = None) -> None:
    with pytest.raises(BenchError) as caught:
        COMMANDS[kind](name, folder)
    for part in parts:
        assert part in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# Where the files go, and how they are found


@KINDS
def test_in_an_empty_folder_the_plugin_its_test_and_a_bench_toml_are_written(
    project: Project, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    COMMANDS[kind]("first_try", None)
    assert files(project) == {f"my_{kind}s/first_try.py", "tests/test_first_try.py", "bench.toml"}
    assert tomllib.loads((project.root / "bench.toml").read_text()) == {"plugins": {f"{kind}s": [f"my_{kind}s"]}}
    workspace = project.workspace()
    registry: Registry = getattr(workspace, f"{kind}s")
    assert registry.load("first_try").__name__ == "FirstTry"
    assert registry.find("first_try").summary.endswith(".")
    printed = capsys.readouterr().out
    for file in files(project):
        assert f"wrote {file}\n" in printed
    assert "first_try" in printed.partition("next:\n")[2]
    for file in (project.root / f"my_{kind}s" / "first_try.py", project.root / "tests" / "test_first_try.py"):
        assert f"my_{kind}" not in file.read_text().lower()


def test_a_bench_toml_without_plugins_is_left_alone_and_the_two_lines_are_shown(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    own = project.write("bench.toml", 'profile = "cpu"\n')
    new.method("mine")
    assert own.read_text() == 'profile = "cpu"\n'
    shown = 'Add these two lines:\n\n[plugins]\nmethods = ["my_methods"]\n'
    assert shown in capsys.readouterr().out
    own.write_text(own.read_text() + shown.partition("\n\n")[2])
    assert "mine" in project.workspace().methods.names()


@pytest.mark.parametrize(
    ("toml", "shown"),
    [
        ('[plugins]\ndatasets = ["data"]\n', 'Add this line under [plugins]:\n\nmethods = ["my_methods"]\n'),
        (
            '[plugins]\nmethods = ["/nowhere/shared"]\n',
            'Change the line under [plugins]:\n\nmethods = ["/nowhere/shared", "my_methods"]\n',
        ),
    ],
)
def test_a_bench_toml_with_plugins_gets_no_second_table(
    project: Project, capsys: pytest.CaptureFixture[str], toml: str, shown: str
) -> None:
    project.write("bench.toml", toml)
    new.method("mine")
    assert (project.root / "bench.toml").read_text() == toml
    assert shown in capsys.readouterr().out


def test_a_folder_that_bench_toml_names_is_used_and_made_where_it_is_not_there(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("bench.toml", '[plugins]\nmethods = ["detectors"]\n')
    new.method("mine")
    new.method("another", Path("detectors"))
    assert {"detectors/mine.py", "detectors/another.py"} <= files(project)
    assert "[plugins]" not in capsys.readouterr().out
    assert {"mine", "another"} <= set(project.workspace().methods.names())


def test_the_folder_that_is_asked_for_is_used(project: Project) -> None:
    new.dataset("mine", Path("some/where"))
    assert files(project) == {"some/where/mine.py", "tests/test_mine.py", "bench.toml"}
    assert "mine" in project.workspace().datasets.names()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout that is imported in its place by what is started with it on PYTHONPATH."""
    copy = tmp_path / "copy"
    for folder in ("bench", "methods", "datasets"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "bench.toml", copy)
    for folder in ("methods", "datasets"):
        (copy / "bench" / folder).symlink_to(Path("..", folder))
    return copy


def test_in_a_checkout_the_plugins_lie_beside_the_projects_own_and_are_found_without_more(checkout: Path) -> None:
    def run(*arguments: str) -> str:
        return python_prints("-m", "bench", *arguments, folder=checkout, PYTHONPATH=str(checkout))

    before = (checkout / "bench.toml").read_text()
    for kind in COMMANDS:
        printed = run("new", kind, f"own_{kind}")
        place = "bench/protocols" if kind == "protocol" else f"{kind}s"
        assert f"wrote {place}/own_{kind}.py\nwrote tests/test_own_{kind}.py\n\nnext:" in printed
        assert f"\nown_{kind} " in run("list", f"{kind}s")
    assert (checkout / "bench.toml").read_text() == before


# ---------------------------------------------------------------------------------------------------------------------
# What is refused


@KINDS
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Mine", "lower-case letters"),
        ("_mine", "a letter first"),
        ("9lives", "a letter first"),
        ("my-own", "lower-case letters, digits and _"),
        ("mine.py", "lower-case letters, digits and _"),
        ("größe", "lower-case letters"),
        ("", "lower-case letters"),
        ("lambda", "a word of Python's own"),
        ("none_", "a word of Python's own"),
        ("numpy", "the name of something that the"),
        ("bench", "the name of something that the"),
    ],
)
def test_a_name_that_a_plugin_cannot_have_is_refused_and_nothing_written(
    project: Project, kind: str, name: str, reason: str
) -> None:
    refused(kind, name, repr(name), reason)
    assert files(project) == set()


@pytest.mark.parametrize(("kind", "name"), [("method", "scores"), ("method", "method"), ("dataset", "path")])
def test_a_name_whose_class_would_hide_an_import_is_refused(project: Project, kind: str, name: str) -> None:
    refused(kind, name, "is also the name of something that the")


@pytest.mark.parametrize(("kind", "name"), [("method", "ocsvm"), ("dataset", "digits"), ("protocol", "rest_vs_one")])
def test_a_name_that_is_taken_is_refused_with_the_place_of_the_plugin_that_has_it(
    project: Project, kind: Kind, name: str
) -> None:
    registry = Registry(kind)
    refused(kind, name, f"there is a {kind} called {name!r}", str(registry.find(name).file))
    COMMANDS[kind]("mine", None)
    refused(kind, "mine", str(project.root / f"my_{kind}s" / "mine.py"), folder=Path("elsewhere"))


def test_a_method_cannot_be_called_like_a_group(project: Project) -> None:
    assert "all" in open_workspace().config.groups
    refused("method", "all", "'all' is a group of methods in bench.toml")


@KINDS
def test_no_file_is_overwritten_and_none_is_written_beside_it(project: Project, kind: str) -> None:
    mine = project.write("tests/test_mine.py", "assert True\n")
    refused(kind, "mine", "tests/test_mine.py exists", "nothing was written")
    assert files(project) == {"tests/test_mine.py"}
    assert mine.read_text() == "assert True\n"
    project.write(f"my_{kind}s/other.py", "")  # in a folder that nobody names, so no plugin is called other yet
    refused(kind, "other", f"my_{kind}s/other.py exists", "nothing was written")


def test_a_folder_that_is_a_file_is_named_without_a_traceback(project: Project) -> None:
    project.write("plugins", "")
    refused("method", "mine", "cannot write plugins/mine.py", folder=Path("plugins"))


def test_a_bench_toml_that_cannot_be_read_is_named(project: Project) -> None:
    project.write("bench.toml", "[plugins\n")
    refused("method", "mine", str(project.root / "bench.toml"))
    assert files(project) == {"bench.toml"}
