"""What adapters of whole libraries share: the parameters of their constructors, and a job without downloads.

Constructors are read from the library's source, which imports nothing: a spec is checked at once, also where what a
model needs is not installed.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.request import OpenerDirector, Request

from bench.errors import BenchError, PluginUnavailable, unknown
from bench.specs import Spec, Value


@dataclass(frozen=True)
class Expression:
    """A default that no spec can hold, as the source has it; unequal to everything that a spec can hold."""

    text: str


def library(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises PluginUnavailable where there is none."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise PluginUnavailable(f"{name} is not installed; pip install {name}")
    return Path(found.submodule_search_locations[0])


def chosen(of: str, model: Value, names: Iterable[str], refused: Mapping[str, str], example: str) -> str:
    """The model that a spec names. Raises BenchError where it names none, an unknown one, or a refused one."""
    known = sorted(set(names) - set(refused))
    if model is None:
        raise BenchError(f"{of} needs model; write {of}(model='{example}'); known: {', '.join(known)}")
    if model in refused:
        raise BenchError(f"{of}(model={model!r}) cannot be used on images of one class: it {refused[str(model)]}")
    if model not in known:
        raise unknown(f"model of {of}", str(model), known)
    return str(model)


@functools.cache
def constructor(file: Path, name: str) -> Mapping[str, Any]:
    """Parameters of the constructor of a class, with defaults: a ``Value``, an ``Expression``, or ``MISSING``."""
    for cls in ast.parse(file.read_bytes()).body:
        if isinstance(cls, ast.ClassDef) and cls.name == name:
            for function in cls.body:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    return _defaults(function.args)
    raise PluginUnavailable(f"{file} holds no constructor of {name}; this version of the library is not supported")


def shown(defaults: Mapping[str, Any], given: Mapping[str, Value]) -> dict[str, Value]:
    """Every parameter with its value, for the record."""
    return {**{k: v.text if isinstance(v, Expression) else v for k, v in defaults.items() if v is not MISSING}, **given}


def arguments(parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Parameters as constructors take them: sequences as lists, which they add to and compare with other lists."""
    return {name: _listed(value) for name, value in parameters.items()}


@contextlib.contextmanager
def without_downloads(explanation: Callable[[str], str]) -> Iterator[None]:
    """Refuse what asks the network for files: a job neither waits for it, nor does its time hold a download.

    Raises BenchError with the explanation that an address is given.
    """
    from huggingface_hub import constants

    def refuse(_: OpenerDirector, asked: str | Request, *__: Any, **___: Any) -> Any:
        raise OSError(f"not downloaded: {asked.full_url if isinstance(asked, Request) else asked}")

    try:
        with mock.patch.object(constants, "HF_HUB_OFFLINE", True), mock.patch.object(OpenerDirector, "open", refuse):
            yield
    except OSError as error:
        address = _address(error)
        if address is None:
            raise
        raise BenchError(explanation(address)) from error


def _address(error: BaseException | None) -> str | None:
    """The address that an error, or one that led to it, says was asked for."""
    while error is not None:
        if found := re.search(r"https?://\S+[^\s:;,.]", str(error)):
            return found.group()
        error = error.__cause__ or error.__context__
    return None


def _defaults(signature: ast.arguments) -> Mapping[str, Any]:
    positional = signature.args[1:]  # the first is self
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(signature.defaults))
    found = dict(zip(positional, [*defaults, *signature.defaults], strict=True))
    found.update(zip(signature.kwonlyargs, signature.kw_defaults, strict=True))
    return {argument.arg: MISSING if node is None else _default(node) for argument, node in found.items()}


def _default(node: ast.expr) -> Value | Expression:
    try:
        return Spec("", {"default": ast.literal_eval(node)}).parameters["default"]
    except (ValueError, BenchError):  # a call or a name; a dictionary
        return Expression(ast.unparse(node))


def _listed(value: Value) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
