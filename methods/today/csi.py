"""CSI: contrastive learning in which an image and itself turned are two instances, and which also tells the turns.

Tack et al., CSI: Novelty detection via contrastive learning on distributionally shifted instances, NeurIPS 2020, and
the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from bench.method import Count, Epoch, FitContext, Images, NotNegative, Positive, Whole, method
from bench.methods._augmentations import Augmentation, Changes, changed, mirrored
from bench.methods._contrast import cosine, nt_xent, sgd
from bench.methods._representation import EncoderMethod
from bench.methods._transforms import ROTATIONS, Transformer
from bench.training import autocast, minimise, seeded


@method(version="1", gpu_memory=8.0)
class CSI(EncoderMethod):
    """Anomaly score: −Σ over the four rotations of how long and near to a training image's an image's representation
    is, and how sure the network is of the rotation, each beside what training images have.

    - ``epochs``, ``warm_up``: with a rate that rises over the first ones, and falls to 0 by half a cosine.
    - ``batch_size``: images, of each of which a step sees four rotations in two views.
    - ``trust``: of LARS; 0: plain gradient descent with momentum.
    - ``temperature``: τ of eq. 1.
    - ``weight``: λ of eq. 5, of the loss of telling rotations.
    - ``dimension``: of the representation that is contrasted.
    - ``ensemble``: how many random augmentations an image's representation is the mean of; 0: the image's as it is.
    """

    epochs: Whole = 1000
    warm_up: Whole = 10
    batch_size: Count = 128
    lr: Positive = 1.0
    trust: NotNegative = 1e-3
    weight_decay: NotNegative = 1e-6
    temperature: Positive = 0.5
    weight: NotNegative = 1.0
    dimension: Count = 128
    ensemble: Whole = 10

    def heads(self, features: int) -> dict[str, nn.Module]:
        projection = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, self.dimension))
        return {"contrast": projection, "shift": nn.Linear(features, len(ROTATIONS))}

    def begin(self, context: FitContext) -> None:
        self.rotations = Transformer(ROTATIONS, self.image_size, context.device)
        self.changes = [_augmentation("cpu", (1.0, 1.0)).none()]
        if self.ensemble:
            with seeded(context, "ensemble"):  # for all images the same, so that a score is a matter of its image
                drawn = _augmentation("cpu", SCORED_CROP).draw(self.ensemble)
            self.changes = [Changes(*(part[i : i + 1] for part in drawn)) for i in range(self.ensemble)]
        self.changes = [Changes(*(part.to(context.device) for part in each)) for each in self.changes]

    def learning(self, images: Images, context: FitContext) -> Iterator[Epoch]:
        augmented = _augmentation(context.device, TRAINED_CROP)
        optimiser = sgd(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay, trust=self.trust)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            optimiser.param_groups[0]["lr"].copy_(self.lr * cosine(n, self.epochs, self.warm_up))
            shifted, shifts = self.rotations.every(mirrored(x.repeat(2, 1, 1, 1)))
            with autocast(context):
                made = self.network(augmented(shifted))
            loss_con = nt_xent(*made["contrast"].float().chunk(2), self.temperature)  # eq. 3
            loss_cls = cross_entropy(made["shift"].float(), shifts)  # eq. 4
            minimise(loss_con + self.weight * loss_cls, optimiser)  # eq. 5
            return {"contrast": loss_con, "shift": loss_cls}

        return self.trained(step, images, context)

    def settle(self, images: Images) -> None:
        """Take the training images' directions z(S(xₘ)) / ‖z(S(xₘ))‖ and the weights of both scores, for each S."""
        with torch.inference_mode():
            z, certainty = (torch.cat(parts) for parts in zip(*map(self.represented, self.each(images)), strict=True))
            self.directions = normalize(z, dim=2).transpose(0, 1)
            self.weight_con, self.weight_cls = 1 / z.norm(dim=2).mean(dim=0), 1 / certainty.mean(dim=0)

    def represented(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of images (b, …) under each rotation S: z(S(x)), (b, 4, dimension), and the logit of S, (b, 4)."""
        shifted, _ = self.rotations.every(x)
        made = [self.network(changed(shifted, each)) for each in self.changes]
        z, logits = (torch.stack([each[head] for each in made]).mean(dim=0) for head in ("contrast", "shift"))
        return z.view(len(x), len(ROTATIONS), -1), logits.view(len(x), len(ROTATIONS), -1).diagonal(dim1=1, dim2=2)

    def anomaly(self, x: Tensor) -> Tensor:
        z, certainty = self.represented(x)
        nearest = (z.transpose(0, 1) @ self.directions.mT).amax(dim=2).T  # max cos · ‖z‖: directions have length 1
        return -(self.weight_con * nearest + self.weight_cls * certainty).mean(dim=1)

    @property
    def views(self) -> int:
        return len(ROTATIONS)


TRAINED_CROP, SCORED_CROP = (0.08, 1.0), (0.54, 0.54)
"""Areas of the crops of the authors' code."""


def _augmentation(device: str, area: tuple[float, float]) -> Augmentation:
    return Augmentation(device, area=area, ratio=4 / 3, hue=0.1, jittered=0.8)
