"""Any image model of anomalib, trained by itself: ``anomalib(model='Ganomaly', epochs=50)``.

Akcay et al., Anomalib: a deep learning library for anomaly detection, ICIP 2022.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.errors import BenchError, PluginUnavailable
from bench.images import resized
from bench.method import Count, FitContext, Images, Method, Scores, Whole, method
from bench.methods._adapter import arguments, chosen, constructor, replaced, shown, without_downloads
from bench.randomness import global_generators_seeded
from bench.specs import Spec, Value
from bench.weights import USED, Weights, found

if TYPE_CHECKING:
    from torch import Tensor

REFUSED = {
    "CFM": "needs depth images",
    "VlmAd": "asks a language model over the network",
}

COMPONENTS = ("pre_processor", "post_processor", "evaluator", "visualizer")
"""Parameters of every constructor that are no hyperparameters: the adapter fills them in."""


@method(version="2")
class Anomalib(Method):
    """Anomaly score: ``pred_score`` of the model itself, before anomalib scales it by other images.

    - ``model``: the model's class, as ``Ganomaly`` or ``Padim``. Most start from weights pretrained on other images,
      which have to be on the machine already.
    - ``epochs``: where the model does not fix them itself, as those do that only collect features.
    - ``image_size``: images are resized to it; grey ones are repeated in the three channels that every model demands.
      They are normalised as the model asks for, but for ``Ganomaly``: its generator ends in a Tanh, which cannot reach
      anomalib's ImageNet statistics, so that pixels are scaled to [−1, 1] as in the authors' code.
    - ``weights``: a file with those of the backbone, where timm makes it; empty: what the model itself takes.
    - Further parameters are those of the model's constructor.
    """

    model: str
    epochs: Whole = 20
    batch_size: Count = 32
    image_size: Count = 32
    weights: Weights = ""

    def __init__(
        self,
        *,
        model: str,
        epochs: int = 20,
        batch_size: int = 32,
        image_size: int = 32,
        weights: str = "",
        **parameters: Value,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.image_size = image_size
        self.weights = weights
        self.parameters = parameters

    @classmethod
    def further_parameters(cls, given: Mapping[str, Value]) -> Mapping[str, Any]:
        own = (*COMPONENTS, *cls.__annotations__)
        return {name: default for name, default in _parameters(given.get("model")).items() if name not in own}

    def hyperparameters(self) -> dict[str, Value]:
        further = self.further_parameters({"model": self.model})
        return {**super().hyperparameters(), **shown(further, self.parameters)}

    def used(self) -> tuple[str, ...]:
        if self.model == "Ganomaly" or self.parameters.get("pre_trained") is False:
            return ()
        return ("images of textures",) if self.model == "Draem" else (USED,)

    def fit(self, images: Images, context: FitContext) -> Self:
        self.seed, self.device = context.seed, context.device
        with global_generators_seeded(context.seed), without_downloads(self._how_to_fetch):
            with _from(self.weights):
                module = self._module()
            with tempfile.TemporaryDirectory() as folder:
                self._trainer(module, folder, context).fit(module, datamodule=self._data(images))
        self.network = module.model.eval().to(context.device)
        self.pre_processor = module.pre_processor.to(context.device)
        return self

    def score(self, images: Images) -> Scores:
        from bench.training import scored

        with global_generators_seeded(self.seed):
            return scored(
                lambda x: self.network(x).pred_score.flatten(),
                resized(images, self.image_size),
                device=self.device,
                prepare=lambda batch: self.pre_processor(_in_colour(batch)),
                batch_size=256,
            )

    def _module(self) -> Any:
        """anomalib's training module, with nothing that looks at labels or writes files."""
        from anomalib.models import image
        from anomalib.pre_processing import PreProcessor
        from torchvision.transforms.v2 import Compose, Normalize, Resize

        self._require_folders()
        cls, size = getattr(image, self.model), (self.image_size, self.image_size)
        if self.model == "Ganomaly":
            pre_processor = PreProcessor(Compose([Resize(size), Normalize([0.5] * 3, [0.5] * 3)]))
        else:
            pre_processor = cls.configure_pre_processor(size)
        shared = {name: getattr(self, name) for name in Anomalib.__annotations__ if name in _parameters(self.model)}
        nothing = dict.fromkeys(COMPONENTS, False)
        return cls(**nothing | shared | arguments(self.parameters) | {"pre_processor": pre_processor})

    def _how_to_fetch(self, address: str) -> str:
        from anomalib.models import image

        spec = str(Spec(self.model, self.parameters))
        call = spec if "(" in spec else f"{spec}()"
        later = ".prepare_pretrained_model()" if hasattr(getattr(image, self.model), "prepare_pretrained_model") else ""
        untrained = f"\nor do without them: anomalib(model={self.model!r},pre_trained=False)"
        return (
            f"anomalib's {self.model} needs weights that are not on this machine: {address}\n"
            "a job downloads nothing; fetch them once, where there is a network, with\n"
            f'python -c "from anomalib.models import {self.model}; {call}{later}"'
            + (untrained if "pre_trained" in _parameters(self.model) else "")
        )

    def _require_folders(self) -> None:
        """Raise BenchError where a folder of images is absent that anomalib would fill from the network."""
        for name, value in shown(_parameters(self.model), self.parameters).items():
            if name.endswith("_dir") and value is not None and not Path(str(value)).is_dir():
                raise BenchError(
                    f"anomalib's {self.model} needs a folder of other images, but {name}={value!r} is none; "
                    f"write {name}='…'. A job downloads nothing"
                )

    def _trainer(self, module: Any, folder: str, context: FitContext) -> Any:
        from lightning.pytorch import Trainer

        kind, _, number = context.device.partition(":")
        settings: dict[str, Any] = {
            "max_epochs": self.epochs,
            **module.trainer_arguments,
            "accelerator": "gpu" if kind == "cuda" else kind,
            "devices": [int(number or 0)] if kind == "cuda" else 1,
            "precision": "bf16-mixed" if context.precision == "bf16" else "32-true",
            "default_root_dir": folder,
        }
        nothing = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        return Trainer(**settings | dict.fromkeys(nothing, False))

    def _data(self, images: Images) -> Any:
        """The training images in batches of anomalib's own type, as normal ones without any marked pixel."""
        import torch
        from anomalib.data import ImageBatch
        from lightning.pytorch import LightningDataModule
        from torch.utils.data import DataLoader

        pixels = torch.from_numpy(resized(images, self.image_size).copy()).permute(0, 3, 1, 2)
        batch_size = min(self.batch_size, len(pixels))

        def batch(items: list[Tensor]) -> ImageBatch:
            image = _in_colour(torch.stack(items))
            return ImageBatch(
                image=image, gt_label=torch.zeros(len(image), dtype=torch.bool), gt_mask=torch.zeros_like(image[:, 0])
            )

        class Normal(LightningDataModule):
            train_batch_size = batch_size

            def train_dataloader(self) -> DataLoader[Any]:
                # batch normalisation cannot train on a last batch of one image
                alone = len(pixels) % batch_size == 1
                return DataLoader(pixels, batch_size, shuffle=True, drop_last=alone, collate_fn=batch)  # type: ignore[arg-type]

        return Normal()


def _parameters(model: Value) -> Mapping[str, Any]:
    """Parameters of a model's constructor, with defaults. Raises PluginUnavailable without anomalib."""
    try:
        from anomalib.models import image
    except ImportError as error:
        raise PluginUnavailable(f"anomalib cannot be imported: {error}; pip install anomalib") from error
    return constructor(getattr(image, chosen("anomalib", model, image.__all__, REFUSED, example="Ganomaly")))


@contextlib.contextmanager
def _from(weights: str) -> Iterator[None]:
    """Give backbones that timm makes with pretrained weights those of a file. Raises BenchError where none is made."""
    import timm

    if not weights:
        yield
        return
    file, made, create = found(weights), [], timm.create_model

    def made_from_file(name: str, pretrained: bool = False, **settings: Any) -> Any:
        if not pretrained:
            return create(name, **settings)
        made.append(name)
        settings["pretrained_cfg_overlay"] = {"file": str(file)}
        try:
            return create(name, pretrained=True, **settings)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            raise BenchError(
                f"weights {file} are not those of {name}: {str(error).splitlines()[-1].strip()}"
            ) from error

    with replaced(timm, "create_model", made_from_file):
        yield
    if not made:
        raise BenchError("weights: this model has no backbone that timm loads with pretrained weights")


def _in_colour(batch: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1], in three channels."""
    return batch.expand(-1, 3, -1, -1).float() / 255.0
