"""What a source file imports, and which of that is code of the same hands rather than of a library.

Files are read, never run.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

Roots = Mapping[str, Sequence[Path]]
"""Where the submodules of a package lie, by its dotted name."""

_LIBRARIES = {"site-packages", "dist-packages"}


def imported(file: Path, module: str = "") -> list[str]:
    """Dotted names of what a file imports, at whatever depth, but for type checking alone.

    ``from a import b`` may mean a module ``a.b`` or something in ``a``: both are named. ``module`` is the file's own
    dotted name, from which relative imports start. Empty where the file cannot be read as Python.
    """
    return list(_imported(file, module, _modified(file)))


def absolute(nodes: Iterable[ast.AST]) -> list[str]:
    """The modules of the absolute imports among the nodes: a module's body holds those that run when it is imported."""
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(node.module)
    return list(dict.fromkeys(found))


def closure(file: Path, module: str, roots: Roots, without: Iterable[str] = ()) -> list[Path]:
    """The files of what a file imports, directly or through others, in order of their names: those of ``modules``."""
    return sorted(modules(file, module, roots, without), key=lambda part: (part.name, str(part)))


def modules(file: Path, module: str, roots: Roots, without: Iterable[str] = ()) -> dict[Path, str]:
    """The files of what a file imports, directly or through others, with their dotted names; not the file itself.

    Followed are the packages of ``roots``, the file's own top-level package, and whatever lies outside the folders of
    installed libraries. ``without`` are modules that are neither counted nor followed.
    """
    left_out = set(without)
    own = {**_own_root(file, module), **roots}
    found: dict[Path, str] = {}
    waiting = [(file, module)]
    while waiting:
        importer, name = waiting.pop()
        for each in imported(importer, name):
            if each in left_out:
                continue
            for part, part_name in _files(each, own):
                if part != file and part not in found and part_name not in left_out:
                    found[part] = part_name
                    waiting.append((part, part_name))
    return found


def _own_root(file: Path, module: str) -> Roots:
    """The top-level package of the file, by its dotted name, and by that of its folder."""
    packages = module.split(".")[: None if file.name == "__init__.py" else -1]
    if not packages:
        return {}
    top = file.parents[len(packages) - 1]
    return {packages[0]: [top], top.name: [top]}


def _files(name: str, roots: Roots) -> Iterator[tuple[Path, str]]:
    """The file of a dotted name and of the packages around it, with their names; none where it is a library's."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):  # the longest known package: bench.methods need not lie in bench
        if (package := ".".join(parts[:length])) in roots:
            folders, inner = roots[package], parts[length:]
            break
    else:
        package, inner, folders = parts[0], parts[1:], _outside_libraries(parts[0])
    for folder in folders:
        if folder.suffix == ".py":  # a module without a package
            yield folder, package
            continue
        for depth in range(len(inner) + 1):
            path = folder.joinpath(*inner[:depth])
            for candidate in (path / "__init__.py", path.with_suffix(".py") if depth else None):
                if candidate is not None and candidate.is_file():
                    yield candidate, ".".join((package, *inner[:depth]))


@functools.cache
def _outside_libraries(top: str) -> tuple[Path, ...]:
    """Where a top-level package or module lies, if neither Python nor an installer put it there."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None or (spec.origin in (None, "built-in", "frozen") and not spec.submodule_search_locations):
        return ()
    places = [Path(place) for place in spec.submodule_search_locations or [str(spec.origin)]]
    return tuple(place for place in places if not _is_library(place))


def _is_library(place: Path) -> bool:
    standard = (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
    return bool(_LIBRARIES & set(place.parts)) or any(place.is_relative_to(folder) for folder in standard)


@functools.lru_cache(maxsize=512)
def _imported(file: Path, module: str, modified: int) -> tuple[str, ...]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # it cannot be imported either, so it shares nothing
        return ()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names: dict[str, None] = {}
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom) and (source := _source(node, package)):
            names[source] = None
            names.update(dict.fromkeys(f"{source}.{alias.name}" for alias in node.names))
    return tuple(names)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below ``if TYPE_CHECKING``."""
    waiting = [tree]
    while waiting:
        node = waiting.pop(0)
        yield node
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"
        waiting += node.orelse if typing_only and isinstance(node, ast.If) else ast.iter_child_nodes(node)


def _source(node: ast.ImportFrom, package: str) -> str:
    """The module that names are imported from; empty where it lies above the top-level package."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    if node.level > len(parents) or not package:
        return ""
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])


def _modified(file: Path) -> int:
    """When the file was changed last; 0 where it cannot be told."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
