"""Spec strings: ``deep_svdd(nu=0.1)``, the canonical text of a plugin with its parameters."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.errors import BenchError

Value = bool | int | float | str | None | tuple[Any, ...]


class Typed(NamedTuple):
    """The default of a parameter that is no field of its class, with the type that values of it are to have."""

    type: Any
    default: Any


@dataclass(frozen=True, eq=False)
class Spec:
    """A plugin's name with parameters; ``str(spec)`` is canonical: sorted, literal, without blanks."""

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            frozen = {key: _frozen(self.parameters[key]) for key in sorted(self.parameters)}
        except ValueError as error:  # bench.toml may hold tables, dates and infinities
            raise BenchError(f"{self.name}: {error}") from None
        object.__setattr__(self, "parameters", MappingProxyType(frozen))

    def __str__(self) -> str:
        arguments = ",".join(f"{key}={_literal(value)}" for key, value in self.parameters.items())
        return f"{self.name}({arguments})" if arguments else self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Spec, (self.name, dict(self.parameters))


def parse_spec(text: str) -> Spec:
    """The spec that a text means. Raises BenchError for anything but ``name`` or ``name(key=literal, …)``."""
    specs = parse_specs(text)
    if len(specs) != 1:
        raise BenchError(f"expected one spec, got {len(specs)} in {text!r}")
    return specs[0]


def parse_specs(text: str) -> list[Spec]:
    """The specs in a comma-separated list; commas inside parentheses and quotes belong to their spec."""
    try:
        tree = ast.parse(f"[{text}]", mode="eval").body
        assert isinstance(tree, ast.List)
        return [_spec(node) for node in tree.elts]
    except (SyntaxError, ValueError, TypeError, AssertionError, RecursionError, MemoryError) as error:
        raise BenchError(
            f"cannot read {text!r} as a list of specs; write name or name(key=value, …) with literal values, "
            "for example  ocsvm,shared_ae(epochs=5,norm='l2')"
        ) from error


def parse_value(text: str) -> Value:
    """A literal from the command line; what is no Python literal is a string (``norm=l1`` needs no quotes)."""
    try:
        return _frozen(ast.literal_eval(text.strip()))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return text.strip()


def _spec(node: ast.expr) -> Spec:
    if isinstance(node, ast.Name):
        return Spec(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        keys = [keyword.arg for keyword in node.keywords]
        if None in keys or len(set(keys)) != len(keys):
            raise ValueError("every parameter is named once")
        return Spec(node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords})
    raise ValueError("neither a name nor a name with named parameters")


def _frozen(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"a parameter is a finite number, a string, True, False, None or a tuple of these, not {value!r}")


def _literal(value: Value) -> str:
    if isinstance(value, tuple):
        inner = ",".join(_literal(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)
