"""Shared autoencoders: two encoder-decoder-encoder structures, trained to reconstruct and against each other.

Jia and Liu, Anomaly detection in images with shared autoencoders, Frontiers in Neurorobotics 2022. The paper leaves
much open (no code is public); every open choice is a parameter of the class; docs/shared-ae.md tells how its
defaults were chosen.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bench.method import BelowOne, FitContext, NotNegative, Part, Positive, Whole, method
from bench.methods._autoencoder_networks import Decoder, EncoderDecoderMethod, distances
from bench.methods._ede import ALL, EDE1, EDE2, Networks
from bench.training import Step, autocast

Variant = Literal["full", "two_ede", "one_ede"]
Adversary = Literal["printed", "d1", "decoders", "gan"]

REACHED: dict[Adversary, tuple[str, str]] = {
    "printed": (EDE1, EDE2),
    "d1": ("d1", EDE2),
    "decoders": ("d1", "d2"),
    "gan": ("d1 e2", "e1 d2"),
}
"""The networks that phase 2 reaches: those that maximise its difference, and those that minimise it."""


class Differences(NamedTuple):
    """What both phases compare, after one forward pass."""

    first: Tensor
    """Eq. 1: x and z with x1 and z1."""
    second: Tensor
    """Eq. 2: x and z with x2 and z2."""
    adversarial: Tensor
    """Eq. 3: x and z with x2′ and z2′. EDE1 maximises it (eq. 4), EDE2 minimises it (eq. 5)."""


@method(version="3", gpu_memory=1.0)
class SharedAE(EncoderDecoderMethod[Networks]):
    """Two EDE structures with shared encoders, two-phase training, and a score in latent space alone.

    What the paper leaves open is a parameter:

    - ``adversary``: which networks phase 2 reaches. EDE1 maximises its difference and EDE2 minimises it, and both have
      both encoders: as ``printed`` each loss steps all of its EDE; with ``d1`` D1 alone maximises and E1, D2 and E2
      minimise; with ``decoders`` D1 plays against D2 alone; with ``gan`` D1 and E2 play against E1 and D2.
    - ``updates``: ``alternating`` steps EDE1 by L_EDE1 and then, after a new forward pass, EDE2 by L_EDE2, each with
      its own Adam; ``leftovers`` likewise, with the gradients that each leaves in the other's decoder, as USAD's code
      does; ``phases`` steps by phase 1 and then by phase 2; ``joint`` takes one step for all.
    - ``stop_gradient``: ``target`` keeps z fixed where it is compared with, ``second`` in phase 2 alone; ``fake`` keeps
      z2 fixed where the second pass begins, ``fake1`` in L_EDE1 alone.
    - ``second_latent``: what phase 2 compares z2′ with, ``z`` (eq. 3) or ``z2`` (the abstract's wording).
    - ``norm``: of every difference, as a mean over elements; ``l2`` is the root of the mean square.
    - ``alpha``, ``beta``: weights of image and latent terms. ``omega1``: ω1 of the score, ω2 = 1 − ω1.
    - ``schedule_power``, ``schedule_floor``: phase 1 weighs max(n^−power, floor) in epoch n, phase 2 the rest; the
      paper's 1/n is power 1, floor 0.
    - ``d1_rate``: D1's learning rate, as a multiple of the others'.
    - ``statistics``: with which batch normalisation scores: those of each pass, taken over the training images after
      every epoch (``per_pass``), or the layers' running ones, which blend the passes (``blend``).
    - ``validation``: share of the training images that are held out; the network is then that of the epoch with the
      smallest error in their pixels, not that of the last one.
    - ``image_size`` (a multiple of 8), ``width``, ``latent``, ``slope``: of the networks of Fig. 3.
    - ``epochs``, ``min_steps`` (in all), ``batch_size``, ``lr``, ``beta1``: of the training with Adam
      (β2 = 0.999).

    ``variant`` is a row of the ablation (Table 5): one or two EDEs are trained by phase 1 alone, in turn like the full
    model's (``joint``: in one step), and scored as it is; ``one_ede`` has no second pass and is scored by ‖z − z1‖. The
    ablation's first row is the method ``autoencoder``.
    """

    epochs: Whole = 10
    variant: Variant = "full"
    adversary: Adversary = "d1"
    updates: Literal["alternating", "leftovers", "phases", "joint"] = "alternating"
    stop_gradient: Literal["none", "target", "second", "fake", "fake1"] = "none"
    second_latent: Literal["z", "z2"] = "z"
    norm: Literal["l1", "l2", "mse"] = "l1"
    alpha: NotNegative = 0.03
    beta: NotNegative = 1.0
    omega1: Part = 0.5
    schedule_power: NotNegative = 1.0
    schedule_floor: Part = 0.0
    d1_rate: Positive = 1.0
    statistics: Literal["per_pass", "blend"] = "per_pass"
    validation: BelowOne = 0.0

    def build(self, channels: int) -> Networks:
        return Networks(
            1 if self.variant == "one_ede" else 2, lambda: self.encoder(channels), lambda: self.decoder(channels)
        )

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
        steps = {"alternating": self._alternating_step, "leftovers": self._leftovers_step, "phases": self._phases_step}
        return steps.get(self.updates, self._joint_step)(context)

    def _difference(self, x: Tensor, z: Tensor, image: Tensor, latent: Tensor) -> Tensor:
        """α‖x − image‖ + β‖z − latent‖, a mean over the batch: the form of eqs. 1, 2 and 3."""
        target = z.detach() if self.stop_gradient == "target" else z
        in_image = distances(x, image.float(), self.norm).mean()
        in_latent = distances(target.float(), latent.float(), self.norm).mean()
        return self.alpha * in_image + self.beta * in_latent

    def _differences(self, x: Tensor, context: FitContext, *of: Literal["first", "second"]) -> Differences:
        """The adversarial one and those that are asked for, after a forward pass; the others are 0."""
        nets, nothing = self.networks, x.new_zeros(())
        fixed = self.stop_gradient == "fake" or (self.stop_gradient == "fake1" and of == ("first",))
        with autocast(context):
            z = nets.e1(x)
            x2 = nets.d2(z)
            z2 = nets.e2(x2)
            x2_prime = nets.d1(z2.detach() if fixed else z2)
            z2_prime = nets.e2(x2_prime)
            x1 = nets.d1(z) if "first" in of else x
            z1 = nets.e2(x1) if "first" in of else z
        compared = z2 if self.second_latent == "z2" else z.detach() if self.stop_gradient == "second" else z
        return Differences(
            first=self._difference(x, z, x1, z1) if "first" in of else nothing,
            second=self._difference(x, z, x2, z2) if "second" in of else nothing,
            adversarial=self._difference(x, compared, x2_prime, z2_prime),
        )

    def _weight(self, n: Tensor) -> Tensor:
        """Of phase 1 in epoch n."""
        return n.pow(-self.schedule_power).clamp(min=self.schedule_floor)

    def _optimiser(self, names: str) -> torch.optim.Optimizer:
        nets = self.networks
        optimiser = self.adam(nets.weights(" ".join(name for name in names.split() if name != "d1")))
        if "d1" in names.split():
            rate = optimiser.param_groups[0]["lr"] * self.d1_rate
            optimiser.add_param_group({"params": nets.weights("d1"), "lr": rate})
        return optimiser

    def _alternating_step(self, context: FitContext) -> Step:
        """L_EDE1 (eq. 6) steps EDE1, L_EDE2 (eq. 7) EDE2; their adversarial parts reach what ``adversary`` says."""
        nets, (maximising, minimising) = self.networks, REACHED[self.adversary]
        optimiser1, optimiser2 = self._optimiser(EDE1), self._optimiser(EDE2)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            w = self._weight(n)
            now = self._differences(x, context, "first")
            nets.descend(optimiser1, (EDE1, w * now.first), (maximising, -(1 - w) * now.adversarial))
            loss1 = w * now.first - (1 - w) * now.adversarial
            now = self._differences(x, context, "second")
            nets.descend(optimiser2, (EDE2, w * now.second), (minimising, (1 - w) * now.adversarial))
            return {"ede1": loss1, "ede2": w * now.second + (1 - w) * now.adversarial}

        return step

    def _leftovers_step(self, context: FitContext) -> Step:
        """As USAD's code: every gradient reaches every network, and each step clears those of its own EDE alone."""
        nets = self.networks
        optimiser1, optimiser2 = self._optimiser(EDE1), self._optimiser(EDE2)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            w = self._weight(n)
            now = self._differences(x, context, "first")
            loss1 = w * now.first - (1 - w) * now.adversarial
            loss1.backward(inputs=list(nets.parameters()))
            optimiser1.step()
            optimiser1.zero_grad(set_to_none=False)  # in place, for the next step to find what is left
            now = self._differences(x, context, "second")
            loss2 = w * now.second + (1 - w) * now.adversarial
            loss2.backward(inputs=list(nets.parameters()))
            optimiser2.step()
            optimiser2.zero_grad(set_to_none=False)
            return {"ede1": loss1, "ede2": loss2}

        return step

    def _phases_step(self, context: FitContext) -> Step:
        """Phase 1 steps all networks, then, after a new forward pass, phase 2 does."""
        nets, (maximising, minimising) = self.networks, REACHED[self.adversary]
        optimiser1, optimiser2 = self._optimiser(ALL), self._optimiser(ALL)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            w = self._weight(n)
            now = self._differences(x, context, "first", "second")
            phase1 = w * (now.first + now.second)
            nets.descend(optimiser1, (ALL, phase1))
            phase2 = (1 - w) * self._differences(x, context).adversarial
            nets.descend(optimiser2, (maximising, -phase2), (minimising, phase2))
            return {"phase1": phase1, "phase2": phase2}

        return step

    def _joint_step(self, context: FitContext) -> Step:
        nets, (maximising, minimising) = self.networks, REACHED[self.adversary]
        optimiser = self._optimiser(ALL)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            w = self._weight(n)
            now = self._differences(x, context, "first", "second")
            first, second, phase2 = w * now.first, w * now.second, (1 - w) * now.adversarial
            nets.descend(optimiser, (EDE1, first), (EDE2, second), (maximising, -phase2), (minimising, phase2))
            return {"ede1": first - phase2, "ede2": second + phase2}

        return step

    def _phase1_step(self, context: FitContext) -> Step:
        """Eqs. 1 and 2, as far as the variant has the networks for them: in turn, or in one ``joint`` step."""
        nets = self.networks
        edes = {"ede1": EDE1} if self.variant == "one_ede" else {"ede1": EDE1, "ede2": EDE2}
        joint = self._optimiser(EDE1 if self.variant == "one_ede" else ALL)
        turns = [(joint, edes)] if self.updates == "joint" else [(self._optimiser(n), {e: n}) for e, n in edes.items()]

        def difference(x: Tensor, z: Tensor, decoder: Decoder) -> Tensor:
            with autocast(context):
                image = decoder(z)
                latent = nets.e2(image)
            return self._difference(x, z, image, latent)

        def step(x: Tensor, n: Tensor) -> dict[str, Tensor]:
            losses: dict[str, Tensor] = {}
            for optimiser, stepped in turns:
                with autocast(context):
                    z = nets.e1(x)
                now = {ede: difference(x, z, nets.d1 if ede == "ede1" else nets.d2) for ede in stepped}
                nets.descend(optimiser, *((names, now[ede]) for ede, names in stepped.items()))
                losses |= now
            return losses

        return step
