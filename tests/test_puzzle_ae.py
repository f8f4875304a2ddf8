"""Puzzle-AE: its puzzles, its attack and its network are what its authors describe, and it learns."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.images import resized
from bench.method import FitContext
from bench.methods._unet import Doubling, UNet
from bench.methods._validation import held_out
from bench.methods.rivals.puzzle_ae import PERMUTATIONS, PuzzleAE, joined, shuffled, tiles, without_tile
from bench.testing.images import TEST, auroc_of, lit

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"image_size": 16, "width": 4, "batch_size": 16, "epochs": 2, "lr": 4e-3}


def fitted(seed: int = 0, channels: int = 1, **parameters: Any) -> PuzzleAE:
    return PuzzleAE(**{**SMALL, **parameters}).fit(lit(0, 48, 1, channels), FitContext(seed=seed))


def pictures(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------------------------------------------------------
# Learning and scoring


def test_it_learns_which_half_is_bright() -> None:
    figures = {
        epochs: [
            auroc_of(PuzzleAE(**{**SMALL, "epochs": epochs}).fit(lit(normal, 256, normal), FitContext(seed=3)), normal)
            for normal in (0, 1)
        ]
        for epochs in (0, 6)
    }
    assert min(figures[6]) > 0.9, figures
    assert min(figures[0]) < 0.7, figures


def test_scores_are_an_image_s_own_and_another_seed_gives_others() -> None:
    method, images = fitted(), np.concatenate(TEST)
    scores = method.score(images)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 90
    assert method.score(images[:16]) == pytest.approx(scores[:16], abs=1e-5 * float(np.ptp(scores)), rel=1e-5)
    assert np.array_equal(fitted().score(images), scores)
    assert not np.allclose(fitted(seed=1).score(images), scores)


@pytest.mark.parametrize("size", [16, 20, 28])
def test_colour_and_sizes_that_no_four_halvings_divide(size: int) -> None:
    method = fitted(channels=3, image_size=size, epochs=1)
    images = lit(0, 5, 2, channels=3)
    assert np.isfinite(method.score(images)).all()
    assert method.reconstruct(images).shape == (5, size, size, 3)


def test_one_image_is_enough_to_fit() -> None:
    method = PuzzleAE(**SMALL).fit(lit(0, 1, 1), FitContext(seed=0))
    assert np.isfinite(method.score(TEST[0])).all()


@pytest.mark.parametrize("score_by", ["mean", "min", "max"])
def test_the_score_is_the_error_over_that_of_images_set_apart(score_by: str) -> None:
    """Computed anew, image by image and order by order."""
    method, images = fitted(), lit(0, 48, 1)
    method.score_by = score_by  # type: ignore[assignment]

    def errors(of: Any) -> np.ndarray:
        x = torch.from_numpy(resized(of, 16)).permute(0, 3, 1, 2) / 255
        halves = ((0, 8), (8, 16))
        quarters = [x[:, :, a:b, c:d] for a, b in halves for c, d in halves]
        found = []
        for order in PERMUTATIONS:
            nw, ne, sw, se = (quarters[place] for place in order)
            puzzle = torch.cat([torch.cat([nw, ne], dim=3), torch.cat([sw, se], dim=3)], dim=2)
            with torch.no_grad():
                found.append((method.unet(puzzle) - x).square().mean(dim=(1, 2, 3)).numpy())
        return np.stack(found, axis=1)

    _, unseen = held_out(images, 0.15, FitContext(seed=0))
    assert len(unseen) == 7
    relative = errors(TEST[1]) / errors(unseen).mean(axis=0)
    assert method.score(TEST[1]) == pytest.approx(getattr(relative, score_by)(axis=1), rel=1e-3)
    assert errors(unseen).mean(axis=0) == pytest.approx(method._normal_errors(), rel=1e-3)


# ---------------------------------------------------------------------------------------------------------------------
# Puzzles and the attack


def test_the_permutations_are_the_23_that_change_something() -> None:
    assert len(set(PERMUTATIONS)) == 23
    assert (0, 1, 2, 3) not in PERMUTATIONS
    assert set(PERMUTATIONS) < set(itertools.permutations(range(4)))


def test_tiles_are_the_quarters_row_by_row() -> None:
    x = pictures(3, 2, 8, 8)
    quarters = tiles(x)
    assert torch.equal(quarters[:, 1], x[:, :, :4, 4:])
    assert torch.equal(quarters[:, 2], x[:, :, 4:, :4])
    assert torch.equal(joined(quarters), x)


def test_a_permutation_and_its_inverse_give_the_image_back() -> None:
    x = pictures(23, 3, 8, 8)
    orders = torch.tensor(PERMUTATIONS)
    assert torch.equal(shuffled(shuffled(x, orders), orders.argsort(dim=1)), x)
    assert torch.equal(shuffled(x, orders[4])[7], shuffled(x[7:8], orders[4:5])[0])
    assert all((shuffled(x, orders) != x).flatten(1).any(dim=1))


@pytest.mark.parametrize("channels", [1, 3])
def test_one_tile_loses_its_colours_or_all(channels: int) -> None:
    x, place = pictures(4, channels, 8, 8), torch.tensor([2, 0, 1, 3])
    before, after = tiles(x), tiles(without_tile(x, place))
    for image in range(4):
        for tile in range(4):
            whole, wanted = before[image, tile], before[image, tile]
            if tile == place[image]:
                wanted = whole.mean(dim=0).expand(3, 4, 4) if channels == 3 else torch.zeros(1, 4, 4)
            assert torch.allclose(after[image, tile], wanted)


def test_the_attack_moves_no_pixel_farther_than_eps_and_raises_the_error() -> None:
    method = fitted(epochs=20, eps=0.05)
    x = torch.from_numpy(resized(lit(0, 16, 5), 16)).permute(0, 3, 1, 2) / 255
    puzzle = shuffled(x, torch.tensor([3, 2, 1, 0]))
    torch.manual_seed(0)
    attacked = method.attacked(puzzle, x)
    assert 0.04 < float((attacked - puzzle).abs().max()) <= 0.05 + 1e-6
    assert float(attacked.min()) >= 0
    assert float(attacked.max()) <= 1

    def error(given: Tensor) -> float:
        with torch.no_grad():
            return float((method.unet(given) - x).square().mean())

    at_random = (puzzle + 0.05 * (2 * torch.rand_like(puzzle) - 1)).clamp(0, 1)
    assert error(attacked) > 1.05 * error(puzzle)
    assert error(attacked) > error(at_random)


# ---------------------------------------------------------------------------------------------------------------------
# Networks and training


def test_the_u_net_has_the_authors_weights() -> None:
    """By hand: 3×3 convolutions with biases, two each on five levels down and four up, and one of 1×1."""
    pairs = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512), (512, 512)]
    pairs += [(512, 512), (1024, 512), (512, 256), (512, 256), (256, 128), (256, 128), (128, 64), (128, 64), (64, 64)]
    by_hand = sum(9 * inputs * outputs + outputs for inputs, outputs in pairs) + 64 * 3 + 3
    network = UNet(3, 64, 32)
    assert sum(weight.numel() for weight in network.parameters()) == by_hand == 17_258_691
    assert network(torch.rand(1, 3, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("size", [16, 28])
def test_the_u_net_is_the_authors_layer_by_layer(size: int) -> None:
    """Written out with torch's functions, on one batch: pooling down, interpolation up, corners on corners, skips."""
    torch.manual_seed(0)
    network, f, x = UNet(2, 3, size), nn.functional, pictures(2, 2, size, size)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    pairs = [list(layer.parameters()) for layer in convolutions]

    def twice(x: Tensor) -> Tensor:
        for _ in range(2):
            x = f.relu(f.conv2d(x, *pairs.pop(0), padding=1))
        return x

    with torch.no_grad():
        made, levels = network(x), [twice(x)]
        for _ in range(4):
            levels.append(twice(f.max_pool2d(levels[-1], 2)))
        up = levels.pop()
        while levels:
            beside = levels.pop()
            up = f.interpolate(up, scale_factor=2, mode="bilinear", align_corners=True)
            missing = beside.shape[2] - up.shape[2]
            before, after = missing // 2, missing - missing // 2
            up = twice(torch.cat([beside, f.pad(up, (before, after, before, after))], dim=1))
        assert torch.allclose(made, f.conv2d(up, *pairs.pop()), atol=1e-5)
    assert not pairs


def test_the_attack_goes_eps_along_the_sign_of_the_slope_at_a_random_start() -> None:
    method, x = fitted(epochs=1, eps=0.05), pictures(4, 1, 16, 16)
    puzzle = shuffled(x, torch.tensor([1, 0, 3, 2]))
    torch.manual_seed(3)
    attacked = method.attacked(puzzle, x)
    torch.manual_seed(3)
    start = (puzzle + 0.1 * (torch.rand(puzzle.shape) - 0.5)).clamp(0, 1).requires_grad_()
    nn.MSELoss()(method.unet(start), x).backward()
    assert start.grad is not None
    assert torch.allclose(attacked, (puzzle + 0.05 * start.grad.sign()).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize(("side", "wanted"), [(2, 4), (1, 3), (7, 14), (3, 7)])
def test_doubling_is_bilinear_interpolation_within_zeros(side: int, wanted: int) -> None:
    x = pictures(2, 3, side, side)
    doubled = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    before = (wanted - 2 * side) // 2
    after = wanted - 2 * side - before
    padded = nn.functional.pad(doubled, (before, after, before, after))
    assert torch.allclose(Doubling(side, wanted)(x), padded, atol=1e-6)


@pytest.mark.parametrize(("size", "weights"), [(32, 661_248), (28, 659_456), (16, 134_400)])
def test_the_discriminator_has_ganomaly_s_layers(size: int, weights: int) -> None:
    method = PuzzleAE(epochs=0, width=64, image_size=size).fit(lit(0, 2, 1), FitContext(seed=0))
    counted = sum(weight.numel() for weight in method.discriminator.parameters())
    halved = [(64, 128), (128, 256)][: 1 if size == 16 else 2]
    by_hand = 16 * 64 + sum(16 * a * b + 2 * b for a, b in halved) + halved[-1][1] * (9 if size == 28 else 16)
    assert counted == by_hand == weights
    assert method.discriminator(torch.rand(2, 1, size, size)).logit.shape == (2,)


def test_a_step_trains_by_the_losses_of_its_formulas() -> None:
    method = fitted(epochs=0, eps=0.0)
    plain_u, plain_d = copy.deepcopy(method.unet), copy.deepcopy(method.discriminator)
    method.unet.train(), method.discriminator.train(), plain_d.train()
    context, x = FitContext(seed=0), pictures(8, 1, 16, 16)
    step = method._step(torch.optim.Adam(method.unet.parameters(), lr=1e-3, weight_decay=1e-5), context)
    torch.manual_seed(7)
    losses = step(x, torch.ones(()))

    torch.manual_seed(7)
    order = torch.tensor(PERMUTATIONS)[torch.randint(23, (8,))]
    made = plain_u(without_tile(shuffled(x, order), torch.randint(4, (8,))))
    squared = ((made - x) ** 2).sum() / x.numel()
    real, fake = plain_d.features(x), plain_d.features(made)
    matching = ((real - fake) ** 2).sum() / real.numel()
    p_real, p_fake = (plain_d.head(features).flatten().sigmoid() for features in (real, fake))
    judged = 0.5 * (-p_real.log().mean() - (1 - p_fake).log().mean())
    for name, wanted in {"reconstruction": squared, "matching": matching, "discriminator": judged}.items():
        assert losses[name].item() == pytest.approx(wanted.item(), rel=1e-5), name

    optimiser_u = torch.optim.Adam(plain_u.parameters(), lr=1e-3, weight_decay=1e-5)
    optimiser_d = torch.optim.Adam(plain_d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    (squared + 0.02 * matching).backward(inputs=list(plain_u.parameters()), retain_graph=True)
    judged.backward(inputs=list(plain_d.parameters()))
    optimiser_u.step(), optimiser_d.step()
    pairs = [(method.unet, plain_u), (method.discriminator, plain_d)]
    for trained, plain in pairs:
        for (name, weight), expected in zip(trained.named_parameters(), plain.parameters(), strict=True):
            assert torch.allclose(weight, expected, atol=1e-5), name


def test_the_rate_falls_when_the_error_no_longer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    images = np.zeros((20, 8, 8, 1), np.uint8)
    original = PuzzleAE._step

    def watched(self: PuzzleAE, optimiser: Any, context: FitContext) -> Any:
        step = original(self, optimiser, context)

        def counted(x: Tensor, n: Tensor) -> Any:
            rates.append(float(optimiser.param_groups[0]["lr"]))
            losses = step(x, n)
            return {**losses, "reconstruction": torch.ones(())}

        return counted

    monkeypatch.setattr(PuzzleAE, "_step", watched)
    PuzzleAE(**{**SMALL, "epochs": 8, "patience": 2, "decay": 0.5}).fit(images, FitContext(seed=0))
    assert rates == pytest.approx([4e-3] * 4 + [2e-3] * 3 + [1e-3])
