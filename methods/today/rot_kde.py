"""Learning by how many quarters images were turned, then a kernel density estimate of the features.

Sohn et al., Learning and evaluating representations for deep one-class classification, ICLR 2021; the authors' code;
rotnet's training.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.method import Count, Epoch, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._augmentations import Augmentation, mirrored
from bench.methods._transform_prediction import predicting
from bench.methods._transforms import ROTATIONS, Transformer
from bench.methods._two_stage import KernelSum, TwoStage, density


@method(version="1", gpu_memory=4.0)
class RotKDE(TwoStage):
    """Anomaly score: −1/γ · log Σ exp(−γ‖f − fᵢ‖²) over the features fᵢ of training images.

    - ``batch_size``: images, each of which a step sees in its four rotations.
    """

    epochs: Whole = 2048
    batch_size: Count = 64
    lr: Positive = 1e-3
    weight_decay: NotNegative = 3e-4

    def heads(self, features: int) -> dict[str, nn.Module]:
        return {"rotation": self.perceptron(features, len(ROTATIONS))}

    def learning(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        turned = Transformer(ROTATIONS, self.image_size, context.device)
        augmented = Augmentation(context.device, area=(0.25, 1.0), hue=0.4)

        def views(x: Tensor) -> tuple[Tensor, Tensor]:
            instances, numbers = turned.every(mirrored(x))
            return augmented(instances), numbers

        return predicting(
            nn.Sequential(self.network.body, self.network.heads["rotation"]),
            views,
            images,
            context,
            epochs=self.epochs,
            min_steps=self.min_steps,
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
        )

    def classifier(self, features: Tensor) -> KernelSum:
        return density(features)
