"""A training step as a CUDA graph: recorded once, then replayed without Python and without a launch for each kernel.

The same kernels on the same numbers in the same order, so that nothing but the time changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Steps that run as they are before one is recorded: libraries and optimisers make on first use what no recording may
hold."""

Step = Callable[[Tensor], None]
"""What is done to one batch, given by the indices of its images, (b,)."""


class Recorded:
    """A step that becomes a graph after a few calls, for batches of one size; others it does as it is.

    Whatever it reads and writes has to be tensors that stay where they are. Where the recording fails, a warning says
    why and every call does the step as it is.
    """

    def __init__(self, step: Step, size: int, device: str) -> None:
        self._step = step
        self._indices = torch.zeros(size, dtype=torch.int64, device=device)
        self._stream = torch.cuda.Stream(device)
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._failed = False

    @property
    def replays(self) -> bool:
        """Whether the step runs as a graph by now."""
        return self._graph is not None

    def __call__(self, indices: Tensor) -> None:
        if self._failed or len(indices) != len(self._indices):
            self._step(indices)
            return
        self._indices.copy_(indices)
        self._calls += 1
        if self._graph is None:
            if self._calls <= WARM_UP:
                self._run_aside()
                return
            self._record()
        if self._graph is None:
            self._step(indices)
        else:
            self._graph.replay()

    def _run_aside(self) -> None:
        """The step on the stream that will be recorded, for its libraries to prepare themselves there."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._step(self._indices)
        torch.cuda.current_stream().wait_stream(self._stream)

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            # the process's other threads do nothing on the GPU
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._step(self._indices)
        except RuntimeError as error:
            self._failed = True
            warnings.warn(f"the training step is not captured as a CUDA graph: {error}", stacklevel=2)
        else:
            self._graph = graph
