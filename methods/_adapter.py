"""What adapters of whole libraries share: the parameters of their constructors, and a job without downloads."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any
from urllib.request import OpenerDirector, Request

from bench.errors import BenchError, unknown
from bench.specs import Spec, Value


@dataclass(frozen=True)
class Unwritable:
    """A default that no spec can hold; unequal to everything that one can."""

    text: str


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
def constructor(cls: type[Any]) -> Mapping[str, Any]:
    """Parameters of the constructor of a class, with defaults: a ``Value``, an ``Unwritable``, or ``MISSING``."""
    return {
        each.name: MISSING if each.default is each.empty else _default(each.default)
        for each in inspect.signature(cls).parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }


def shown(defaults: Mapping[str, Any], given: Mapping[str, Value]) -> dict[str, Value]:
    """Every parameter with its value, for the record."""
    return {**{k: v.text if isinstance(v, Unwritable) else v for k, v in defaults.items() if v is not MISSING}, **given}


def arguments(parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Parameters as constructors take them: sequences as lists, which they add to and compare with other lists."""
    return {name: _listed(value) for name, value in parameters.items()}


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """An attribute of a library with another value for a block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def without_downloads(explanation: Callable[[str], str]) -> Iterator[None]:
    """Refuse what asks the network for files: a job neither waits for it, nor does its time hold a download.

    Raises BenchError with the explanation that an address is given.
    """
    from huggingface_hub import constants

    def refuse(_: OpenerDirector, asked: str | Request, *__: Any, **___: Any) -> Any:
        raise OSError(f"not downloaded: {asked.full_url if isinstance(asked, Request) else asked}")

    try:
        with replaced(constants, "HF_HUB_OFFLINE", True), replaced(OpenerDirector, "open", refuse):
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


def _default(value: object) -> Value | Unwritable:
    plain = (bool, int, float, str, tuple, list, type(None))
    try:
        # by its type alone: an enumeration of strings is one too, and no spec can hold it
        return Spec("", {"default": value}).parameters["default"] if type(value) in plain else Unwritable(str(value))  # type: ignore[dict-item]
    except BenchError:
        return Unwritable(str(value))


def _listed(value: Value) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
