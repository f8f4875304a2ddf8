"""Discovery of plugins. Looking around reads files but imports none of them; only ``load`` imports.

Three sources: the files in ``methods/``, ``datasets/``, ``bench/protocols/`` and ``bench/criteria/`` of the project,
entry points of installed packages (groups ``bench.methods``, ``bench.datasets``, ``bench.protocols`` and
``bench.criteria``), and extra folders that bench.toml names.
One of these may hold the kept copy of a plugin (see ``bench.sources``), which goes before others of its name.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from bench.errors import BenchError, PluginUnavailable, unknown
from bench.imports import absolute
from bench.randomness import derive_seed
from bench.specs import Spec, Typed, Value

Kind = Literal["method", "dataset", "protocol", "criterion"]
PLURALS: Mapping[Kind, str] = {kind: f"{kind}s" for kind in get_args(Kind)} | {"criterion": "criteria"}
"""What several are called: in packages, in groups of entry points, in bench.toml and in ``bench list``."""

EXTRA = "bench_extra_"
"""Start of the package names that the folders named in bench.toml are imported under."""
KEPT = "plugin.json"
"""Name of the file that tells, in a folder that holds the kept copy of a plugin, which one it is."""


@dataclasses.dataclass(frozen=True)
class Plugin:
    """One plugin as found: its name, the file it is in, and what reading that file told."""

    kind: Kind
    name: str
    module: str
    file: Path | None
    source: str
    summary: str = ""
    problem: str = ""
    """Why it cannot be used; empty where nothing speaks against it."""
    code: Path | None = None
    """Of a kept copy, the folder that Python imports it from."""


class Registry:
    """All plugins of one kind. Raises BenchError when two share a name; of kept copies the last one counts."""

    def __init__(self, kind: Kind, folders: Sequence[Path] = ()) -> None:
        self.kind = kind
        self.plugins: dict[str, Plugin] = {}
        package = f"bench.{PLURALS[kind]}"
        for folder in package_folders(package):
            self._add_folder(folder, package)
            for family in sorted(file.parent for file in folder.glob("*/__init__.py")):
                self._add_folder(family, f"{package}.{family.name}")
        for folder in folders:
            if not folder.is_dir():
                raise BenchError(f"plugin folder {folder} does not exist (bench.toml: plugins.{PLURALS[kind]})")
            if not (folder / KEPT).is_file():
                self._add_folder(folder, _extra_package(kind, folder))
        for point in entry_points(group=package):
            self._add(_from_entry_point(kind, point))
        for copy in (kept_plugin(folder) for folder in folders if (folder / KEPT).is_file()):
            self.plugins |= {copy.name: copy} if copy.kind == kind else {}

    def names(self) -> list[str]:
        return sorted(self.plugins)

    def find(self, name: str) -> Plugin:
        """The plugin of that name. Raises BenchError with the nearest names where there is none."""
        if name not in self.plugins:
            raise unknown(self.kind, name, self.plugins, f"bench list {PLURALS[self.kind]} shows all")
        return self.plugins[name]

    def load(self, name: str) -> type[Any]:
        """Import the plugin and return its class. Raises PluginUnavailable with the reason where that fails."""
        return _load(self.find(name))

    def preload(self, name: str) -> None:
        """Import what the plugin imports only inside its functions, so that no measured time holds an import."""
        plugin = self.find(name)
        if plugin.file is not None:
            for module in absolute(ast.walk(ast.parse(plugin.file.read_bytes()))):
                with contextlib.suppress(ImportError):  # the plugin will say so itself, if it comes to that
                    importlib.import_module(module)

    def resolve(self, spec: Spec) -> Spec:
        """The spec with checked parameter values, without those that equal their defaults."""
        fields = self.fields(spec.name, spec.parameters)
        changed = {}
        for key, value in spec.parameters.items():
            if key not in fields:
                raise unknown(f"parameter of {_with_required(spec, fields)}", key, fields, f"asked for in {spec}")
            checked = _checked(spec, key, value, fields[key])
            if checked != fields[key].default or type(checked) is not type(fields[key].default):
                changed[key] = checked
        required = [k for k, f in fields.items() if f.default is dataclasses.MISSING and k not in changed]
        if required:
            raise BenchError(f"{spec.name} needs {', '.join(required)}; write {spec.name}({required[0]}=…)")
        return Spec(spec.name, changed)

    def build(self, spec: Spec) -> Any:
        """An instance with the spec's parameters."""
        return self.load(spec.name)(**self.resolve(spec).parameters)

    def fields(self, name: str, given: Mapping[str, Value] | None = None) -> Mapping[str, Field]:
        """The parameters of a plugin by name; of a method also those that it has further to the ones given."""
        cls = self.load(name)
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            plugin = self.find(name)
            raise PluginUnavailable(
                f"{self.kind} {name} is unavailable ({plugin.source}): its annotations cannot be read: {error}"
            ) from error
        fields = {f.name: Field(hints[f.name], _default(f)) for f in dataclasses.fields(cls)}
        further = cls.further_parameters(given or {}) if self.kind == "method" else {}
        return fields | {k: Field(*v) if isinstance(v, Typed) else Field(Any, v) for k, v in further.items()}

    def _add_folder(self, folder: Path, package: str) -> None:
        for file in sorted(folder.glob("*.py")):
            if not file.stem.startswith(("_", ".")) and file.stem.isidentifier():
                self._add(_from_file(self.kind, file, f"{package}.{file.stem}", str(file)))

    def _add(self, plugin: Plugin) -> None:
        other = self.plugins.get(plugin.name)
        if other is not None:
            raise BenchError(
                f"two {PLURALS[self.kind]} are called {plugin.name!r}:\n  {other.source}\n  {plugin.source}\n"
                "rename one of them"
            )
        self.plugins[plugin.name] = plugin


@dataclasses.dataclass(frozen=True)
class Field:
    """A parameter: its type and its default (``dataclasses.MISSING`` where it must be given)."""

    type: Any
    default: Any

    @property
    def described(self) -> str:
        """Its type in words, with the range that it declares: ``int ≥ 1``."""
        return _described(self.type)


def kept_plugin(folder: Path) -> Plugin:
    """The plugin whose kept copy a folder holds. Raises BenchError where it holds none."""
    try:
        facts = json.loads((folder / KEPT).read_text(encoding="utf-8"))
        kind, name, module, code = facts["kind"], facts["name"], facts["module"], folder / "code"
        file = code / facts["file"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{folder / KEPT} tells of no plugin: {error!r}; restore or remove the folder") from error
    within = module or f"{_extra_package(kind, file.parent)}.{file.stem}"
    return _from_file(kind, file, within, f"kept in {folder}", name, code)


def package_folders(package: str) -> list[Path]:
    """Where the modules of a package lie; nothing of it is run."""
    spec = importlib.util.find_spec(package)
    return [Path(p) for p in spec.submodule_search_locations or ()] if spec else []


def _extra_package(kind: Kind, folder: Path) -> str:
    return f"{EXTRA}{kind}s_{derive_seed(str(folder.resolve())):x}"


def _from_file(
    kind: Kind, file: Path, module: str, source: str, name: str | None = None, code: Path | None = None
) -> Plugin:
    summary = problem = ""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
        summary = (ast.get_docstring(tree) or "").partition("\n")[0]
        tops = dict.fromkeys(name.partition(".")[0] for name in absolute(tree.body))
        beside = {entry.stem for entry in code.iterdir()} if code else set()
        absent = [top for top in tops if not (top in beside or _importable(top))]
        if absent:
            problem = f"needs {', '.join(absent)}, which cannot be imported"
    except (SyntaxError, ValueError, OSError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        problem = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}{line}"
    return Plugin(kind, name or file.stem, module, file, source, summary, problem, code)


def _from_entry_point(kind: Kind, point: EntryPoint) -> Plugin:
    package = point.dist.name if point.dist else "an installed package"
    source = f"entry point {point.value} of {package}"
    if not point.name.isidentifier():  # it is a folder's name in the store, and a word in specs
        problem = f"its name {point.name!r} is none that a spec can hold; use letters, digits and underscores"
        return Plugin(kind, point.name, point.module, None, source, problem=problem)
    try:
        spec = importlib.util.find_spec(point.module)
    except (ImportError, ValueError) as error:
        return Plugin(kind, point.name, point.module, None, source, problem=f"{type(error).__name__}: {error}")
    if spec is None or spec.origin is None:
        return Plugin(kind, point.name, point.module, None, source, problem=f"module {point.module} is not installed")
    return _from_file(kind, Path(spec.origin), point.module, source, point.name)


@functools.cache
def _importable(top: str) -> bool:
    try:
        return top in sys.modules or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _load(plugin: Plugin) -> type[Any]:
    if plugin.problem:
        raise PluginUnavailable(f"{plugin.kind} {plugin.name} is unavailable ({plugin.source}): {plugin.problem}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a command's own output is no place for what a plugin prints
            module = _import(plugin)
    except (Exception, SystemExit) as error:  # a plugin may raise anything while it is imported, or leave
        raise PluginUnavailable(
            f"{plugin.kind} {plugin.name} is unavailable ({plugin.source}): {type(error).__name__}: {error}"
        ) from error
    return _declared(plugin, module)


def _import(plugin: Plugin) -> ModuleType:
    if plugin.code is not None:
        _put_first(plugin.code)
    package, _, _ = plugin.module.rpartition(".")
    if package.startswith(EXTRA):
        assert plugin.file is not None
        parent = sys.modules.setdefault(package, ModuleType(package))
        parent.__path__ = [str(plugin.file.parent)]
    return importlib.import_module(plugin.module)


def _put_first(code: Path) -> None:
    """Have Python find there what a kept copy imports, though a module of that name was imported from elsewhere."""
    sys.dont_write_bytecode = True  # it stays as it is
    sys.path[:] = [str(code), *(place for place in sys.path if place != str(code))]
    names = {entry.stem for entry in code.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        places = [getattr(sys.modules[name], "__file__", None), *getattr(sys.modules[name], "__path__", ())]
        if not any(Path(place).is_relative_to(code) for place in places if place):
            del sys.modules[name]
    importlib.invalidate_caches()


def _declared(plugin: Plugin, module: ModuleType) -> type[Any]:
    own = [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]
    declared = [cls for cls in own if vars(cls).get("declared_as") == plugin.kind]
    if len(declared) != 1:
        found = ", ".join(cls.__name__ for cls in declared) or "none"
        raise PluginUnavailable(
            f"{plugin.kind} {plugin.name} ({plugin.source}): the file must declare exactly one class with "
            f"@{plugin.kind}; found {found}"
        )
    return declared[0]


def _described(of: Any) -> str:
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Annotated:
        ranges = ", ".join(filter(None, map(_range, arguments[1:])))
        return f"{_described(arguments[0])} {ranges}".rstrip()
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_described, arguments))
    if of is Any:
        return ""
    return of.__name__ if isinstance(of, type) and not arguments else str(of)


def _range(constraint: Any) -> str:
    """A range of annotated-types as it is written in mathematics."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
    return ", ".join(f"{sign} {getattr(constraint, name)}" for name, sign in signs.items() if hasattr(constraint, name))


def _with_required(spec: Spec, fields: Mapping[str, Field]) -> Spec:
    """The spec with no more than what it must say: ``pyod(model='KNN')``."""
    required = [key for key, field in fields.items() if field.default is dataclasses.MISSING]
    return Spec(spec.name, {key: value for key, value in spec.parameters.items() if key in required})


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _checked(spec: Spec, key: str, value: Value, wanted: Field) -> Value:
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        # lists from TOML are tuples here already; int is fine for float, text is not fine for a number
        checked = TypeAdapter(wanted.type).validate_python(value, strict=True)
    except ValidationError as error:
        reasons = dict.fromkeys(each["msg"].removeprefix("Input should be ") for each in error.errors())
        raise BenchError(f"{spec.name}: {key}={value!r} is not usable; it should be {', or '.join(reasons)}") from None
    except PydanticUserError as error:
        raise BenchError(f"{spec.name}: the type of parameter {key} cannot be checked: {error}") from error
    for mark in typing.get_args(wanted.type) if typing.get_origin(wanted.type) is typing.Annotated else ():
        if hasattr(mark, "canonical"):  # a value that stands for something else, as a file for its content
            checked = mark.canonical(checked)
    return checked
