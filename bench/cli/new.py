"""``bench new``: a plugin that works, with its test, to start one's own from."""

from __future__ import annotations

import ast
import importlib
import json
import keyword
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import BenchError
from bench.terminal import echo

if TYPE_CHECKING:
    from bench.registry import Kind

Name = Annotated[str, typer.Argument(help="Of the plugin and its file, e.g. nearest_mean.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Where to write it (default: the checkout's own folder, a folder that bench.toml names, or my_methods).",
    ),
]

app = typer.Typer(help="Write a small working plugin and its test.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def method(name: Name, folder: Folder = None) -> None:
    """Write a method, which beats chance on the digits, and the test that it keeps the contract."""
    _write("method", name, folder)
    _next(f"bench check {name}", f"bench run --suite quickstart --methods ocsvm,{name}")


@app.command()
def dataset(name: Name, folder: Folder = None) -> None:
    """Write a dataset, which draws small images, and the test that it can be read and split."""
    _write("dataset", name, folder)
    _next(f"python -m pytest tests/test_{name}.py", f"bench run --dataset {name} --methods ocsvm")


@app.command()
def protocol(name: Name, folder: Folder = None) -> None:
    """Write a protocol, which trains on half of the normal images, and the test that it keeps its promises."""
    _write("protocol", name, folder)
    _next(f"bench check {name}", f"bench run --dataset digits --protocol {name} --methods ocsvm")


def _write(kind: Kind, name: str, folder: Path | None) -> None:
    """Write the plugin, its test and, where there is none, a bench.toml that names the plugin's folder."""
    source = _template(f"{kind}.py")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    _check_name(kind, name, class_name, source)
    place = folder if folder is not None else _usual_folder(kind)
    renaming = {f"my_{kind}": name, f"My{kind.capitalize()}": class_name}
    files = {
        place / f"{name}.py": _renamed(source, renaming),
        Path("tests", f"test_{name}.py"): _renamed(_template(f"test_{kind}.py"), renaming),
    }
    found = place.resolve() in [*_own_folders(kind), *_named_folders(kind)]
    configured = Path("bench.toml").exists()
    if not (found or configured):
        files[Path("bench.toml")] = _lines(kind, place)
    _create(files)
    if not found and configured:
        echo(f"\nbench.toml does not name {place} yet. {_advice(kind, place)}")


def _template(file: str) -> str:
    return resources.files("bench.templates").joinpath(file).read_text(encoding="utf-8")


def _renamed(text: str, renaming: dict[str, str]) -> str:
    for placeholder, name in renaming.items():
        text = text.replace(placeholder, name)
    return text


def _check_name(kind: Kind, name: str, class_name: str, source: str) -> None:
    """Raise BenchError for a name that a plugin cannot have, or that another plugin, group or import has."""
    from bench.config_files import layer_files, merged, read_toml
    from bench.registry import Registry

    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise BenchError(f"{name!r} is no name for a {kind}; write lower-case letters, digits and _, a letter first")
    if keyword.iskeyword(name) or keyword.iskeyword(class_name):
        raise BenchError(f"{name!r} is a word of Python's own; choose another name")
    if {name, class_name} & _imported_names(source):
        raise BenchError(f"{name!r} is also the name of something that the {kind} imports; choose another name")
    registry = Registry(kind, [folder for folder in _named_folders(kind) if folder.is_dir()])
    if name in registry.plugins:
        raise BenchError(f"there is a {kind} called {name!r}: {registry.find(name).source}\nchoose another name")
    if kind == "method" and name in merged(read_toml(file)[1] for file in layer_files()).get("groups", {}):
        raise BenchError(f"{name!r} is a group of methods in bench.toml; choose another name")


def _imported_names(source: str) -> set[str]:
    """The top-level modules that a file imports, and the names that it gives to what it takes from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            names |= {module.partition(".")[0] for module in modules}
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _usual_folder(kind: Kind) -> Path:
    """The checkout's own folder where that is the working folder, else one that bench.toml names, else a new one."""
    here = Path.cwd().resolve()
    if own := [folder.relative_to(here) for folder in _own_folders(kind) if folder.is_relative_to(here)]:
        return own[0]
    within = [folder.relative_to(here) for folder in _named_folders(kind) if folder.is_relative_to(here)]
    return within[0] if within else Path(f"my_{kind}s")


def _own_folders(kind: Kind) -> list[Path]:
    """Where the project keeps its own plugins: a folder of the checkout, or of the installed package."""
    return [Path(folder).resolve() for folder in importlib.import_module(f"bench.{kind}s").__path__]


def _named_folders(kind: Kind) -> list[Path]:
    from bench.config_files import plugin_folders

    return plugin_folders(f"{kind}s")


def _lines(kind: Kind, folder: Path) -> str:
    return f"[plugins]\n{_list(kind, [folder.as_posix()])}\n"


def _list(kind: Kind, folders: list[str]) -> str:
    return f"{kind}s = {json.dumps(folders, ensure_ascii=False)}"


def _advice(kind: Kind, folder: Path) -> str:
    """How the user's own bench.toml comes to name the folder; it may have the table, and the list, already."""
    from bench.config_files import read_toml

    plugins: dict[str, Any] | None = read_toml(Path("bench.toml"))[1].get("plugins")
    if plugins is None:
        return f"Add these two lines:\n\n{_lines(kind, folder)}".rstrip()
    named = plugins.get(f"{kind}s")
    line = _list(kind, [*(named or []), folder.as_posix()])
    return f"{'Add this line' if named is None else 'Change the line'} under [plugins]:\n\n{line}"


def _create(files: dict[Path, str]) -> None:
    """Write files, none where one of them is there already. Raises BenchError that names it."""
    if there := [str(file) for file in files if file.exists()]:
        raise BenchError(f"{', '.join(there)} exists and is left as it is; nothing was written")
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as out:
                out.write(text)
        except OSError as error:
            raise BenchError(f"cannot write {file}: {error.strerror}") from error
        echo(f"wrote {file}")


def _next(*commands: str) -> None:
    echo("\n".join(["\nnext:", *(f"  {command}" for command in commands)]))
