"""A training step as a graph: recorded once, then replayed without Python and without a launch for each kernel.

The same kernels on the same numbers in the same order, so that nothing but the time changes.
"""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.device import kind

WARM_UP = 3
"""Steps that run as they are before one is recorded: libraries and optimisers make on first use what no recording may
hold."""

Step = Callable[[Tensor], None]
"""What is done to one batch, given by the indices of its images, (b,)."""


class Recorder(ABC):
    """One way to record what torch does, and to do it again."""

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """A block for a step that runs as it is, before one is recorded."""
        yield

    @abstractmethod
    def recording(self) -> contextlib.AbstractContextManager[None]:
        """A block in which torch's work is recorded, and not done. Raises RuntimeError for what cannot be."""

    @abstractmethod
    def replay(self) -> None:
        """Do what was recorded."""


class CudaGraph(Recorder):
    """A CUDA graph, recorded on a stream of its own."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._graph = torch.cuda.CUDAGraph()

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        # on the stream that will be recorded, for libraries to make there what they make on first use
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def recording(self) -> contextlib.AbstractContextManager[None]:
        # the process's other threads do nothing on the GPU
        return torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local")

    def replay(self) -> None:
        self._graph.replay()


RECORDERS: dict[str, Callable[[], Recorder]] = {"cuda": CudaGraph}
"""How steps are recorded on each kind of device; where there is no way, they are done as they are."""


def recorded(step: Step, size: int, device: str) -> Recorded | None:
    """The step for batches of one size, to be recorded; None where the device has no way to."""
    recorder = RECORDERS.get(kind(device))
    return Recorded(step, size, device, recorder()) if recorder is not None else None


class Recorded:
    """A step that is recorded after a few calls; batches of another size it takes as it is.

    Whatever it reads and writes has to be tensors that stay where they are. Where the recording fails, a warning says
    why, and every call does the step as it is.
    """

    def __init__(self, step: Step, size: int, device: str, recorder: Recorder) -> None:
        self._step = step
        self._indices = torch.zeros(size, dtype=torch.int64, device=device)
        self._recorder = recorder
        self._calls = 0
        self._failed = False
        self.replays = False
        """Whether the step is replayed by now."""

    def __call__(self, indices: Tensor) -> None:
        if self._failed or len(indices) != len(self._indices):
            self._step(indices)
            return
        self._indices.copy_(indices)
        self._calls += 1
        if self._calls <= WARM_UP:
            with self._recorder.prepared():
                self._step(self._indices)
            return
        if not self.replays:
            self._record()
        if self.replays:
            self._recorder.replay()
        else:
            self._step(self._indices)

    def _record(self) -> None:
        try:
            with self._recorder.recording():
                self._step(self._indices)
        except RuntimeError as error:
            self._failed = True
            warnings.warn(f"the training step is not replayed as a graph: {error}", stacklevel=2)
        else:
            self.replays = True
