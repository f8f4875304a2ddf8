"""A detector for use: fitted on normal images of one's own, saved, loaded, asked for scores."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from bench.api import words
from bench.api.images import Shape, in_shape, pictures, training_pictures
from bench.api.maps import FolderMaps
from bench.api.model_file import STATE, Card, read_model, write_model
from bench.api.words import File
from bench.errors import BenchError, warn
from bench.execution.hand import HAND
from bench.execution.messages import Errand, Fit, Map, Outcome, Score
from bench.execution.progress import Board
from bench.execution.screens import console, display
from bench.execution.slots import require_device
from bench.fingerprint import source_fingerprint
from bench.method import Epoch, Images, Maps, Method, ignore_epoch, require_images
from bench.provenance import environment
from bench.randomness import derive_seed
from bench.specs import Spec, parse_spec
from bench.terminal import echo, printable
from bench.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from pandas import DataFrame

SIZE = 64
"""Pixels along a side where nothing else is asked for, as of the dataset ``folder``."""


@dataclass(frozen=True)
class FolderScores:
    """The scores of a folder's pictures, in the order of their paths."""

    paths: Sequence[Path]
    scores: NDArray[np.floating[Any]]
    """(n,), larger = more anomalous."""
    broken: Mapping[Path, str]
    """Pictures that could not be read, with the reason."""

    def frame(self) -> DataFrame:
        """A row for each picture: ``path`` and ``score``."""
        from pandas import DataFrame

        return DataFrame({"path": list(map(str, self.paths)), "score": self.scores})

    def csv(self) -> str:
        """The same as CSV with a header; a score as read again is the same number, bit for bit."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([("path", "score"), *zip(map(str, self.paths), map(str, self.scores), strict=True)])
        return out.getvalue()

    def _repr_html_(self) -> str:
        return str(self.frame().to_html())


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A fitted detector. ``card`` says how it was fitted, ``device`` where it scores (auto, cpu, cuda or cuda:N)."""

    card: Card
    device: str
    _folder: Path
    """Of what the method saved; gone with this object."""
    _workspace: Workspace

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @overload
    def score(self, images: Images) -> NDArray[np.floating[Any]]: ...
    @overload
    def score(self, images: File) -> FolderScores: ...

    def score(self, images: Images | File) -> NDArray[np.floating[Any]] | FolderScores:
        """Anomaly scores, larger = more anomalous: (n,) of images (n, height, width, channels), or of a folder's.

        Images of another size, and pictures with or without colour, are brought to what the model was fitted on. A
        picture that cannot be read is named on stderr and among the ``broken``, and the others are scored. Raises
        BenchError where there is none, or where the method fails.
        """
        if not isinstance(images, str | Path):
            return self._scores(in_shape(images, self._shape))
        found = pictures(Path(images), self._shape)
        return FolderScores(found.files, self._scores(found.images), found.broken)

    def score_map(self, images: Images) -> Maps:
        """Score maps (n, height, width) of images, at the method's own resolution, larger = more anomalous.

        Images are brought to what the model was fitted on, as for ``score``. Raises BenchError for a method without.
        """
        place = _place(parse_spec(self.card.spec), self.device, self._workspace)
        shaped = in_shape(images, self._shape)
        outcome = _done(Map, shaped, self.card, self._folder, place, self._workspace, ignore_epoch)
        if not outcome.arrays:
            raise BenchError(f"{self.card.spec} has no score maps: it neither reconstructs nor defines score_map")
        return outcome.arrays["maps"]

    def maps_of(self, folder: File) -> FolderMaps:
        """The score maps of a folder's pictures, which ``write`` saves as heat maps. Raises as ``score`` does."""
        found = pictures(Path(folder), self._shape)
        maps = self.score_map(found.images)
        return FolderMaps(Path(folder), found.files, maps, self.card.height, self.card.width, found.broken)

    def save(self, path: File) -> None:
        """Write the model to a file, whole or not at all. Raises BenchError where that cannot be."""
        write_model(Path(path), self.card, self._folder)

    @property
    def _shape(self) -> Shape:
        """Of the images that it was fitted on."""
        return Shape(self.card.height, self.card.width, self.card.channels)

    def _scores(self, images: Images) -> NDArray[np.floating[Any]]:
        place = _place(parse_spec(self.card.spec), self.device, self._workspace)
        outcome = _done(Score, images, self.card, self._folder, place, self._workspace, ignore_epoch)
        assert outcome.arrays is not None
        return outcome.arrays["scores"]

    def __repr__(self) -> str:
        return self.card.describe()


def fit(
    spec: str,
    images: Images | File,
    *,
    size: int | None = None,
    profile: str | None = None,
    seed: int = 0,
    max_train: int | None = None,
    device: str = "auto",
    quiet: bool = False,
    config: File | None = None,
) -> Model:
    """Fit a method on normal images: uint8 (n, height, width, channels), or the pictures in a folder.

    As jobs are, it is fitted in a worker process, with the settings of the ``profile``, from the ``seed``: the same
    images and seed give the same scores. ``size``: pixels along a side that the images are brought to (a folder's: 64
    where not given). ``max_train``: at most so many of them, drawn by the seed; the profile's number where not given.

    Raises BenchError for what does not exist, where there are no images, or where the method fails.
    """
    workspace = open_workspace(words.path(config))
    resolved, chosen = _resolved(parse_spec(spec), profile, workspace)
    place = _place(resolved, device, workspace)
    if isinstance(images, str | Path):
        normal = training_pictures(Path(images), size or SIZE).images
    else:
        require_images(images)
        normal = images if size is None else in_shape(images, Shape(size, size))
    normal = _at_most(normal, max_train or workspace.config.profile_named(chosen).max_train, seed)
    card = _card(resolved, chosen, seed, normal, workspace)
    folder = Path(tempfile.mkdtemp(prefix="bench-model-"))
    (folder / STATE).mkdir()
    model = Model(card, device, folder, workspace)
    with _shown(f"fitting {card.spec} on {len(normal)} images", quiet) as tell:
        outcome = _done(Fit, normal, card, folder, place, workspace, tell)
    if not quiet:
        echo(f"fitted {card.spec} on {len(normal)} images in {outcome.cost['fit_seconds']:.1f} s", err=True)
    return model


def load_model(path: File, *, device: str = "auto", config: File | None = None) -> Model:
    """The model in a file. Its method has to be there; where its code is another by now, stderr says so.

    Scoring runs what the file holds, as unpickling does: load only what you trust. Raises BenchError for a file that is
    not there, damaged, or no model.
    """
    workspace = open_workspace(words.path(config))
    require_device(device)
    folder = Path(tempfile.mkdtemp(prefix="bench-model-"))
    try:
        card = read_model(Path(path), folder)
        spec = parse_spec(card.spec)
        version = workspace.methods.load(spec.name).version
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if card.fingerprint != source_fingerprint(workspace.methods.find(spec.name)):
        then = f"{spec.name} (version {card.method_version}; today's is {version})"
        warn(BenchError(f"{path} was fitted by other code of {then}; its scores may have changed: fit it again"))
    return Model(card, device, folder, workspace)


def _resolved(asked: Spec, profile: str | None, workspace: Workspace) -> tuple[Spec, str]:
    """The spec with the settings of a profile, and the profile's name."""
    workspace.methods.find(asked.name)
    chosen = profile or workspace.config.profile
    settings = workspace.settings(asked.name, "folder", chosen)
    return workspace.methods.resolve(Spec(asked.name, {**settings, **asked.parameters})), chosen


def _place(spec: Spec, device: str, workspace: Workspace) -> str:
    """The device, but the processor for a method that uses no GPU."""
    require_device(device)
    method: type[Method] = workspace.methods.load(spec.name)
    return "cpu" if method.needs_no_gpu(spec.parameters) else device


def _at_most(images: Images, count: int | None, seed: int) -> Images:
    if count is None or len(images) <= count:
        return images
    generator = np.random.default_rng(derive_seed("images", seed))
    return images[np.sort(generator.choice(len(images), count, replace=False))]


def _card(spec: Spec, profile: str, seed: int, images: Images, workspace: Workspace) -> Card:
    _, height, width, channels = images.shape
    made_by = environment()
    return Card(
        spec=str(spec),
        method_version=workspace.methods.load(spec.name).version,
        fingerprint=source_fingerprint(workspace.methods.find(spec.name)),
        profile=profile,
        seed=seed,
        height=height,
        width=width,
        channels=channels,
        training_images=len(images),
        bench=made_by["bench"],
        python=made_by["python"],
        libraries=made_by["libraries"],
    )


def _done(
    kind: type[Errand],
    images: Images,
    card: Card,
    saved: Path,
    place: str,
    workspace: Workspace,
    tell: Callable[[Epoch], None],
) -> Outcome:
    """The outcome of an errand that ended well. Raises BenchError for any other."""
    spec = parse_spec(card.spec)
    with tempfile.TemporaryDirectory(prefix="bench-images-") as beside:
        file = Path(beside) / "images.npy"
        np.save(file, images)
        errand = kind(
            spec=card.spec,
            fingerprint=source_fingerprint(workspace.methods.find(spec.name)),
            seed=derive_seed("fit", spec.name, card.seed) % 2**32,
            images=file,
            state=saved / STATE,
            plugin_folders=workspace.config.plugins.methods,
            device=place,
        )
        outcome = HAND.do(errand, tell)
    if outcome.status != "done":
        failure = outcome.error or {}
        reason = ": ".join(filter(None, (failure.get("type"), failure.get("message"))))
        doing = "fitting" if kind is Fit else "scoring with"
        error = BenchError(f"{doing} {card.spec} ended as {outcome.status}: {reason}")
        error.add_note(failure.get("traceback", failure.get("log", "")))
        raise error
    return outcome


@contextlib.contextmanager
def _shown(title: str, quiet: bool) -> Iterator[Callable[[Epoch], None]]:
    """Shows how far it is, on a line that is redrawn where that can be; gives what is to be told of each epoch."""
    from rich.text import Text

    if quiet:
        yield ignore_epoch
        return
    board = Board(title, 1)
    board.started(title, "", title)
    line, on = board.running[title], console()
    shown = display(on, lambda: Text(printable(f"{line.title}  {line.state}")))
    if on.is_terminal:
        shown.start()
    try:
        yield lambda epoch: board.epoch(title, epoch.number, epoch.total, epoch.losses)
    finally:
        shown.stop()
