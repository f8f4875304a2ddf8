"""A recorder of training steps for the CPU: what a CUDA graph does, without one, for the checks.

Every operation is noted with the very tensors that it read and wrote; a replay does the operations again on those. So
what a step keeps in Python, or in a tensor that it makes anew, is lost on a replay here as it is on a GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from bench.graphs import Recorder

READS = frozenset({"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"})
"""Operations for which a GPU's host waits: their results are numbers in Python, or decide the size of a tensor."""


RESHAPES = frozenset({"aten::squeeze_", "aten::squeeze_.dim", "aten::unsqueeze_", "aten::transpose_", "aten::t_"})
"""Operations that change the shape of a tensor in place, and none of its numbers: not to be done twice."""


def reads(function: Any, arguments: Any) -> bool:
    """Whether the host would wait for an operation."""
    masked = function.name() == "aten::index.Tensor" and any(
        each.dtype in (torch.bool, torch.uint8) for each in arguments[1] if each is not None
    )
    return masked or function.name() in READS


class Tape(Recorder):
    """Operations in the order in which they were done, with their tensors.

    They are done while they are recorded, unlike those of a CUDA graph, so that the first replay does nothing.
    """

    def __init__(self) -> None:
        self._operations: list[tuple[Callable[..., Any], Any, Any, Any]] = []
        self._is_done = False

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        with _Listening(self._operations):
            yield
        self._is_done = True

    def replay(self) -> None:
        if self._is_done:
            self._is_done = False
            return
        with torch.no_grad():
            for function, arguments, named, made in self._operations:
                again = function(*arguments, **named)
                read = {_place(each) for each in tree_leaves((arguments, named)) if isinstance(each, Tensor)}
                for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and _place(old) not in read:  # else it is a view, or changed in place
                        old.copy_(new)


class _Listening(TorchDispatchMode):
    def __init__(self, operations: list[tuple[Callable[..., Any], Any, Any, Any]]) -> None:
        super().__init__()
        self._operations = operations

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), named: dict[str, Any] | None = None
    ) -> Any:
        if reads(function, arguments):
            raise RuntimeError(f"{function.name()} reads a value back to the host")
        arguments_then, named_then = tree_map(_as_it_is, (arguments, named or {}))
        made = function(*arguments, **(named or {}))
        if function.name() not in RESHAPES:
            self._operations.append((function, arguments_then, named_then, tree_map(_as_it_is, made)))
        return made


def _as_it_is(value: Any) -> Any:
    """A tensor that shares its numbers and keeps its shape, whatever is done to that later."""
    return value.detach() if isinstance(value, Tensor) else value


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
