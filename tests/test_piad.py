"""PIAD: its networks, critics and the balance of its losses are its authors', and it learns with drawn VGG weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.method import FitContext
from bench.methods._balanced import Balanced
from bench.methods._wgan_gp import critic_loss, share
from bench.methods.rivals.piad import PIAD, Deviation, to_image, to_judgement, to_vector
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "layer": "r32",
    "image_size": 8,
    "width": 8,
    "critic_width": 8,
    "code_width": 16,
    "latent": 4,
    "batch_size": 48,
    "lr": 2e-3,
    "critic_lr": 2e-3,
}


@pytest.fixture
def small(drawn_vgg19: str) -> dict[str, Any]:
    """Parameters of a small one."""
    return {**SMALL, "weights": drawn_vgg19}


@pytest.mark.slow
def test_it_learns_whichever_half_is_bright_and_an_untrained_copy_does_not(small: dict[str, Any]) -> None:
    def least(epochs: int) -> float:
        return min(
            auroc_of(PIAD(**small, epochs=epochs).fit(lit(normal, 256, normal), FitContext(seed=3)), normal)
            for normal in (0, 1)
        )

    assert least(6) > 0.9
    assert least(0) < 0.6


def test_a_score_is_the_distance_to_the_reconstruction_and_of_its_own_image(small: dict[str, Any]) -> None:
    detector = PIAD(**small, epochs=1).fit(lit(0, 64, 1), FitContext(seed=0))
    scores = detector.score(TEST[0])
    assert len(np.unique(scores)) == len(scores)
    assert detector.score(TEST[0][:5]) == pytest.approx(scores[:5], rel=1e-4)
    nets, x = detector.networks, torch.from_numpy(TEST[0]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        made = nets.generator(nets.encoder(x))
        assert nets.distance(x, made).numpy() == pytest.approx(scores, rel=1e-4)
    assert detector.reconstruct(TEST[0][:3]).shape == (3, 8, 8, 1)
    other = PIAD(**small, epochs=1).fit(lit(0, 64, 1), FitContext(seed=1))
    assert not np.allclose(other.score(TEST[0]), scores)


@pytest.mark.parametrize("images", [lit(0, 48, 1, channels=3), lit(0, 2, 1)], ids=["colour", "two"])
def test_colour_and_fewer_images_than_a_step_has_parts(small: dict[str, Any], images: Any) -> None:
    detector = PIAD(**small, epochs=1).fit(images, FitContext(seed=0))
    assert np.isfinite(detector.score(images)).all()
    assert "weights pretrained on other images" in detector.used()


def test_the_critics_and_what_they_judge_get_other_images_each() -> None:
    x = torch.arange(12.0)[:, None]
    assert torch.equal(torch.cat([share(x, number, 4) for number in range(3)]), x)
    assert share(x[:2], 2, 1).tolist() == [[0.0]]
    assert share(x[:5], 2, 2).tolist() == [[4.0], [0.0]]


# ---------------------------------------------------------------------------------------------------------------------
# Networks


def block(inputs: int, outputs: int) -> int:
    """Weights of the authors' residual block, but for a bias of the shortcut, which adds to another."""
    return 9 * inputs * outputs + outputs + 9 * outputs * outputs + outputs + (inputs != outputs) * inputs * outputs


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def encoder(channels: int, widths: tuple[int, int, int, int], outputs: int, of_batch: bool) -> int:
    a, b, c, d = widths
    first = 9 * channels * a + a + block(a, a) + block(a, b) + block(b, c)
    return first + 16 * (c + of_batch) * d + d + d * outputs + outputs


def test_the_networks_have_the_authors_weights_on_mnist_and_cifar10(drawn_vgg19: str) -> None:
    """The sizes of their configurations: generator, encoder, critic of images, critic of codes."""
    mnist = PIAD(weights=drawn_vgg19).build(1)
    assert count(mnist.encoder) == encoder(1, (32,) * 4, 32, False)
    assert count(mnist.generator) == 16 * 32 * 32 + 32 + 4 * block(32, 32) + 32 + 1
    assert count(mnist.of_images) == encoder(1, (32,) * 4, 1, True)
    assert count(mnist.of_codes) == 33 * 128 + 129 * 128 + 129
    cifar = PIAD(weights=drawn_vgg19, width=64, growth=4, code_width=1024, latent=256).build(3)
    assert count(cifar.encoder) == encoder(3, (64, 128, 256, 256), 256, False)
    blocks = block(256, 256) + block(256, 128) + block(128, 64) + block(64, 64)
    assert count(cifar.generator) == 16 * 256 * 256 + 256 + blocks + 3 * 64 + 3
    assert count(cifar.of_images) == encoder(3, (32, 64, 128, 128), 1, True)
    assert count(cifar.of_codes) == 257 * 1024 + 1025 * 1024 + 1025


@pytest.mark.parametrize("widths", [(6, 4), (4, 4, 8), (4, 8, 8, 8, 8)])
def test_networks_lead_from_images_to_vectors_and_back(widths: tuple[int, ...]) -> None:
    size = 2 ** (len(widths) + 1)
    x = torch.randn(3, 2, size, size)
    assert to_vector(2, widths, 5)(x).shape == (3, 5)
    assert to_vector(2, widths, 1, of_batch=True)(x).shape == (3, 1)
    assert to_image(2, widths, 5)(torch.randn(3, 5)).shape == x.shape
    assert to_judgement(5, 7)(torch.randn(3, 5)).shape == (3, 1)


def test_the_critic_of_images_sees_how_much_a_batch_differs() -> None:
    x = torch.rand(5, 3, 4, 4)
    seen = Deviation()(x)
    assert torch.equal(seen[:, :3], x)
    assert seen[:, 3].numpy() == pytest.approx(np.full((5, 4, 4), x.numpy().std(axis=0).mean()), rel=1e-4)
    assert Deviation()(x[:1].expand(5, -1, -1, -1))[:, 3].max() < 1e-3


def test_signals_neither_fade_nor_grow_through_the_networks_at_the_start(small: dict[str, Any]) -> None:
    """With smaller weights, which other methods begin with, critics have no slope that could balance anything."""
    torch.manual_seed(0)
    detector = PIAD(**{**small, "image_size": 32, "width": 32, "critic_width": 32})
    detector.networks = nets = detector.build(1)
    detector.draw()
    x = (torch.randn(16, 1, 32, 32)).requires_grad_()
    slopes = torch.autograd.grad(nets.of_images(x).sum(), x)[0].flatten(1).norm(dim=1)
    assert 0.1 < float(slopes.mean()) < 10
    with torch.no_grad():
        assert 0.1 < float(nets.encoder(x).std()) < 10
        assert 0.1 < float(nets.generator(torch.randn(16, 4)).std()) < 10


# ---------------------------------------------------------------------------------------------------------------------
# Losses and their balance


def test_drift_weighs_the_squares_of_both_judgements() -> None:
    real, fake = torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [2.0]])

    def loss(drift: float) -> float:
        return float(
            critic_loss(lambda x: 2 * x[:, 0], real, fake, penalty=0.0, drift=drift, context=FitContext(seed=0))
        )

    assert loss(0.1) - loss(0.0) == pytest.approx(0.1 * ((4 + 36) / 2 + (100 + 16) / 2))


def test_a_critic_of_whole_batches_judges_real_and_made_ones_apart() -> None:
    real, fake = torch.zeros(4, 2), torch.randn(4, 2)

    def spread(x: Tensor) -> Tensor:
        return x.std(dim=0).sum().expand(len(x))

    loss = critic_loss(spread, real, fake, penalty=0.0, context=FitContext(seed=0))
    assert loss.item() == pytest.approx(fake.std(dim=0).sum().item(), rel=1e-5)


def test_two_losses_are_balanced_by_the_median_of_their_gradients_deviations() -> None:
    """Computed anew with numpy, over three steps."""
    random = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    balanced, averages = Balanced(network), np.zeros((2, 3))
    for _ in range(3):
        first, second = (
            [scale * random.normal(size=tuple(p.shape)).astype(np.float32) for p in network.parameters()]
            for scale in (1.0, 0.1)
        )
        balanced.descend([torch.from_numpy(g) for g in first], [torch.from_numpy(g) for g in second])
        now = np.array([[g.std() for g in gradients if g.ndim > 1] for gradients in (first, second)])
        averages = 0.95 * averages + 0.05 * now
        weight = np.median(averages[0] / averages[1])
        assert weight == pytest.approx(10, rel=0.5)
        for parameter, one, two in zip(network.parameters(), first, second, strict=True):
            assert parameter.grad is not None
            assert parameter.grad.numpy() == pytest.approx(one + weight * two, rel=1e-4, abs=1e-5)


def test_a_step_trains_by_the_losses_of_their_formulas(small: dict[str, Any]) -> None:
    """Against plain passes with the same draws: two steps of both critics, then one of encoder and generator."""
    detector, x = PIAD(**small), torch.rand(12, 1, 8, 8) * 2 - 1
    torch.manual_seed(0)
    detector.networks = nets = detector.build(1)
    detector.draw()
    nets.distance.standardise([x])
    plain = copy.deepcopy(nets)
    torch.manual_seed(5)
    losses = detector.step(FitContext(seed=0))(x, torch.ones(()))

    def optimiser(rate: float, *parts: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam([p for part in parts for p in part.parameters()], lr=rate, betas=(0.5, 0.99))

    def minimised(critic: nn.Module, by: torch.optim.Adam, real: Tensor, fake: Tensor) -> float:
        along = torch.rand(4, *[1] * (real.dim() - 1))
        between = (real + along * (fake - real)).requires_grad_()
        slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0].flatten(1).norm(dim=1)
        loss = critic(fake).mean() - critic(real).mean() + 10 * (slope - 1).square().mean()
        loss = loss + 1e-3 * (critic(real).square().mean() + critic(fake).square().mean())
        by.zero_grad()
        loss.backward()
        by.step()
        return float(loss.detach())

    torch.manual_seed(5)
    by_z, by_x = optimiser(2e-3, plain.of_codes), optimiser(2e-3, plain.of_images)
    wanted: dict[str, list[float]] = {"of_codes": [], "of_images": []}
    for part in (x[:4], x[4:8]):
        z = torch.randn(4, 4)
        with torch.no_grad():
            codes, fake = plain.encoder(part), plain.generator(z)
        wanted["of_codes"].append(minimised(plain.of_codes, by_z, z, codes))
        wanted["of_images"].append(minimised(plain.of_images, by_x, part, fake))
    z = torch.randn(4, 4)
    codes = plain.encoder(x[8:])
    distance = plain.distance(x[8:], plain.generator(codes)).mean()
    deceived = -plain.of_codes(codes).mean() - plain.of_images(plain.generator(z)).mean()
    for name, values in {**wanted, "deceived": [deceived.item()], "perceptual": [distance.item()]}.items():
        assert losses[name].item() == pytest.approx(np.mean(values), rel=1e-3), name
    for part, own in ((plain.encoder, nets.encoder), (plain.generator, nets.generator)):
        one, two = (
            torch.autograd.grad(loss, list(part.parameters()), retain_graph=True) for loss in (deceived, distance)
        )
        ratios = [
            float(a.std(correction=0) / b.std(correction=0)) for a, b in zip(one, two, strict=True) if a.dim() > 1
        ]
        weight = float(torch.tensor(ratios).median())
        for a, b, parameter in zip(one, two, own.parameters(), strict=True):
            assert parameter.grad is not None
            assert torch.allclose(
                parameter.grad, a + weight * b, rtol=1e-2, atol=1e-3 * float(parameter.grad.abs().max())
            )
