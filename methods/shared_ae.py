"""Shared autoencoders: two encoder-decoder-encoder structures, trained to reconstruct and against each other.

Jia and Liu, Anomaly detection in images with shared autoencoders, Frontiers in Neurorobotics 2022. The paper leaves
much open (no code is public); every open choice is a parameter of the class; docs/shared-ae.md tells how its
defaults were chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from bench.method import FitContext, method
from bench.methods._autoencoder_networks import Decoder, Encoder, EncoderDecoderMethod, distances
from bench.training import Step, autocast, minimise

Variant = Literal["full", "two_ede", "one_ede"]


class Networks(nn.Module):
    """E1, D1, E2 and, where the variant has it, D2 of Fig. 2, in that order.

    EDE1 = (E1, D1, E2) and EDE2 = (E1, D2, E2) share both encoders.
    """

    def __init__(self, variant: Variant, encoder: Callable[[], Encoder], decoder: Callable[[], Decoder]) -> None:
        super().__init__()
        self.e1, self.d1, self.e2 = encoder(), decoder(), encoder()
        if variant != "one_ede":
            self.d2 = decoder()


@method(version="2", gpu_memory=1.0)
class SharedAE(EncoderDecoderMethod[Networks]):
    """Two EDE structures with shared encoders, two-phase training, and a score in latent space alone.

    What the paper leaves open is a parameter:

    - ``updates``: which parameters each loss changes. ``alternating``: L_EDE1 steps E1, D1, E2, then, after a new
      forward pass, L_EDE2 steps E1, D2, E2, each with its own Adam. ``joint``: one step for both, in which the
      adversarial terms of the shared encoders cancel exactly and only the decoders play against each other.
    - ``stop_gradient``: ``target`` keeps z fixed where it is compared with; ``fake`` keeps z2 fixed where the second
      pass begins.
    - ``norm``: of every difference, as a mean over elements; ``l2`` is the root of the mean square.
    - ``alpha``, ``beta``: weights of image and latent terms. 10 and 1 give means over elements the weights that sums
      over 32×32 pixels and 100 latent elements have. ``omega1``: ω1 of the score, ω2 = 1 − ω1.
    - ``schedule_power``, ``schedule_floor``: phase 1 weighs max(n^−power, floor) in epoch n, phase 2 the rest; the
      paper's 1/n is power 1, floor 0.
    - ``image_size`` (a multiple of 8), ``width``, ``latent``, ``slope``: of the networks of Fig. 3.
    - ``epochs``, ``batch_size``, ``lr``, ``beta1``: of the training with Adam (β2 = 0.999).

    Batch normalisation scores with its running statistics. ``variant`` is a row of the ablation (Table 5): one or two
    EDEs are trained by phase 1 alone and scored as the full model is; ``one_ede`` has no second pass and is scored by
    ‖z − z1‖. The ablation's first row is the method ``autoencoder``.
    """

    epochs: int = 10
    variant: Variant = "full"
    updates: Literal["alternating", "joint"] = "alternating"
    stop_gradient: Literal["none", "target", "fake"] = "none"
    norm: Literal["l1", "l2", "mse"] = "l1"
    alpha: float = 10.0
    beta: float = 1.0
    omega1: float = 0.5
    schedule_power: float = 1.0
    schedule_floor: float = 0.0

    def build(self, channels: int) -> Networks:
        return Networks(self.variant, lambda: self.encoder(channels), lambda: self.decoder(channels))

    def reconstruction(self, x: Tensor) -> Tensor:
        """x2 = D2(E1(x)), the image whose latent vector z2 the score begins with; x1 = D1(E1(x)) for want of a D2."""
        nets = self.networks
        decoder = nets.d1 if self.variant == "one_ede" else nets.d2
        reconstruction: Tensor = decoder(nets.e1(x))
        return reconstruction

    def anomaly(self, x: Tensor) -> Tensor:
        """Algorithm 2: A(x) = ω1‖z − z2‖ + ω2‖z − z2′‖, and its like for the smaller variants."""
        nets = self.networks
        z = nets.e1(x)
        if self.variant == "one_ede":
            return distances(z, nets.e2(nets.d1(z)), self.norm)
        z2 = nets.e2(nets.d2(z))
        z2_prime = nets.e2(nets.d1(z2))
        return self.omega1 * distances(z, z2, self.norm) + (1 - self.omega1) * distances(z, z2_prime, self.norm)

    def step(self, context: FitContext) -> Step:
        """Algorithm 1."""
        if self.variant != "full":
            return self._phase1_step(context)
        return self._alternating_step(context) if self.updates == "alternating" else self._joint_step(context)

    def _difference(self, x: Tensor, z: Tensor, image: Tensor, latent: Tensor) -> Tensor:
        """α‖x − image‖ + β‖z − latent‖, a mean over the batch: the form of eqs. 1, 2 and 3."""
        target = z.detach() if self.stop_gradient == "target" else z
        in_image = distances(x, image.float(), self.norm).mean()
        in_latent = distances(target.float(), latent.float(), self.norm).mean()
        return self.alpha * in_image + self.beta * in_latent

    def _losses(self, x: Tensor, n: Tensor, context: FitContext, *, first: bool, second: bool) -> list[Tensor]:
        """L_EDE1 (eq. 6) and L_EDE2 (eq. 7) in epoch n, those that are asked for, after one forward pass."""
        nets = self.networks
        with autocast(context):
            z = nets.e1(x)
            x2 = nets.d2(z)
            z2 = nets.e2(x2)
            x2_prime = nets.d1(z2.detach() if self.stop_gradient == "fake" else z2)
            z2_prime = nets.e2(x2_prime)
            if first:
                x1 = nets.d1(z)
                z1 = nets.e2(x1)
        weight = n.pow(-self.schedule_power).clamp(min=self.schedule_floor)
        adversarial = self._difference(x, z, x2_prime, z2_prime)  # eq. 3; EDE1 maximises it (4), EDE2 minimises it (5)
        losses = []
        if first:
            losses.append(weight * self._difference(x, z, x1, z1) - (1 - weight) * adversarial)  # eqs. 1 and 4 in 6
        if second:
            losses.append(weight * self._difference(x, z, x2, z2) + (1 - weight) * adversarial)  # eqs. 2 and 5 in 7
        return losses

    def _alternating_step(self, context: FitContext) -> Step:
        nets = self.networks
        ede1 = [*nets.e1.parameters(), *nets.d1.parameters(), *nets.e2.parameters()]
        ede2 = [*nets.e1.parameters(), *nets.d2.parameters(), *nets.e2.parameters()]
        optimiser1, optimiser2 = self.adam(ede1), self.adam(ede2)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            (loss1,) = self._losses(x, n, context, first=True, second=False)
            minimise(loss1, optimiser1)
            (loss2,) = self._losses(x, n, context, first=False, second=True)
            minimise(loss2, optimiser2)
            return {"ede1": loss1, "ede2": loss2}

        return step

    def _joint_step(self, context: FitContext) -> Step:
        nets = self.networks
        encoders = [*nets.e1.parameters(), *nets.e2.parameters()]
        optimiser = self.adam(list(nets.parameters()))

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            loss1, loss2 = self._losses(x, n, context, first=True, second=True)
            optimiser.zero_grad()
            loss1.backward(inputs=[*encoders, *nets.d1.parameters()], retain_graph=True)
            loss2.backward(inputs=[*encoders, *nets.d2.parameters()])
            optimiser.step()
            return {"ede1": loss1, "ede2": loss2}

        return step

    def _phase1_step(self, context: FitContext) -> Step:
        """Eqs. 1 and 2, as far as the variant has the networks for them."""
        nets = self.networks
        optimiser = self.adam(list(nets.parameters()))

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            with autocast(context):
                z = nets.e1(x)
                images = [nets.d1(z)] + ([nets.d2(z)] if self.variant == "two_ede" else [])
                latents = [nets.e2(image) for image in images]
            losses = [self._difference(x, z, image, latent) for image, latent in zip(images, latents, strict=True)]
            loss = torch.stack(losses).sum()
            minimise(loss, optimiser)
            return {f"ede{i}": loss for i, loss in enumerate(losses, start=1)}

        return step
