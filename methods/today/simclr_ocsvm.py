"""Contrastive learning with distribution augmentation, then a one-class SVM on the features.

Sohn et al., Learning and evaluating representations for deep one-class classification, ICLR 2021; the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Gt, Le
from torch import Tensor, nn

from bench.method import Count, Epoch, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._augmentations import Augmentation, mirrored
from bench.methods._contrast import cosine, nt_xent, sgd
from bench.methods._transforms import ROTATIONS, Transform, Transformer
from bench.methods._two_stage import KernelSum, TwoStage, support
from bench.training import autocast, minimise


@method(version="1", gpu_memory=4.0)
class SimCLROCSVM(TwoStage):
    """Anomaly score: −1/γ · log of what the one-class SVM's kernels sum up to at the image's features.

    - ``rotated``: whether an image turned by each quarter is an instance of its own, which keeps features of one class
      from spreading over the whole sphere (distribution augmentation); False: SimCLR.
    - ``epochs``: with a rate that falls to 0 by half a cosine.
    - ``batch_size``: images, of each of which a step sees two views, of each rotation.
    - ``temperature``: τ of the contrastive loss.
    - ``dimension``: of what the head makes, which is contrasted.
    - ``nu``: upper bound on the share of training images outside the SVM's boundary.
    """

    rotated: bool = True
    epochs: Whole = 2048
    batch_size: Count = 32
    lr: Positive = 0.01
    weight_decay: NotNegative = 3e-4
    temperature: Positive = 0.2
    dimension: Count = 128
    nu: Annotated[float, Gt(0), Le(1)] = 0.5

    def heads(self, features: int) -> dict[str, nn.Module]:
        return {"contrast": self.perceptron(features, self.dimension)}

    def learning(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        turned = Transformer(ROTATIONS if self.rotated else (Transform(),), self.image_size, context.device)
        augmented = Augmentation(context.device, area=(0.25, 1.0), hue=0.4)
        optimiser = sgd(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            optimiser.param_groups[0]["lr"].copy_(self.lr * cosine(n, self.epochs))
            instances, _ = turned.every(mirrored(x.repeat(2, 1, 1, 1)))
            with autocast(context):
                embedded = self.network(augmented(instances))["contrast"]
            loss = nt_xent(*embedded.float().chunk(2), self.temperature)
            minimise(loss, optimiser)
            return {"contrast": loss}

        return self.trained(step, images, context)

    def classifier(self, features: Tensor) -> KernelSum:
        return support(features, self.nu, self.seed)
