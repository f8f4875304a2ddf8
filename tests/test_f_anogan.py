"""f-AnoGAN: its networks are the authors', its critic's penalty is Gulrajani's, its encoder learns by izi_f."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from bench.images import symmetric
from bench.method import Epoch, FitContext, Images
from bench.methods._generator import Block, layer_norm, widths
from bench.methods._wgan_gp import critic_loss, generator_loss, gradient_penalty
from bench.methods.rivals.f_anogan import FAnoGAN, Networks
from bench.metrics import auroc
from bench.testing.images import TEST, lit

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "width": 4,
    "latent": 8,
    "batch_size": 16,
    "image_size": 8,
    "lr": 1e-3,
    "encoder_lr": 1e-3,
}
CONTEXT = FitContext(seed=0)


def built(**parameters: Any) -> FAnoGAN:
    """A method with networks, not trained."""
    method = FAnoGAN(**{**SMALL, **parameters})
    torch.manual_seed(0)
    method.networks = method.build(1)
    return method


def digits(normal: int, other: int) -> tuple[Images, Images, np.ndarray]:
    """Training images of one digit, and test images of two with their labels."""
    data = load_digits()
    images = (data.images / 16 * 255).astype(np.uint8)[..., None]
    mine, others = images[data.target == normal], images[data.target == other]
    labels = np.repeat(np.array([0, 1], np.uint8), [len(mine) - 130, len(others)])
    return mine[:130], np.concatenate([mine[130:], others]), labels


# ---------------------------------------------------------------------------------------------------------------------
# The Wasserstein GAN with gradient penalty


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 4), (6,)], ids=["grey", "colour", "latent"])
def test_the_penalty_of_a_linear_critic_is_that_of_its_weights_norm(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def critic(x: Tensor) -> Tensor:
        return (x * weight).flatten(1).sum(dim=1)

    real, fake = torch.rand(5, *shape), torch.rand(5, *shape)
    penalty = gradient_penalty(critic, real, fake)
    norm = weight.detach().square().sum().sqrt()
    assert float(penalty.detach()) == pytest.approx(float((norm - 1) ** 2), rel=1e-4)
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert torch.allclose(gradient, 2 * (norm - 1) * weight.detach() / norm, atol=1e-4)


def test_the_penalty_is_taken_between_the_real_and_the_fake_ones_at_a_point_of_each_pair() -> None:
    """The slope of ½‖x‖² is x, so that the penalty tells where it was taken."""
    met: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        met.append(x.detach())
        return 0.5 * x.square().sum(dim=1)

    real, fake = torch.zeros(200, 2), torch.tensor([[3.0, 4.0]]).repeat(200, 1)
    penalty = gradient_penalty(critic, real, fake)
    shares = met[0][:, 0] / 3
    assert torch.allclose(met[0], shares[:, None] * fake, atol=1e-5)
    assert 0 <= shares.min() < 0.1 and 0.9 < shares.max() <= 1
    assert len(shares.unique()) > 190
    assert float(penalty.detach()) == pytest.approx(float((5 * shares - 1).square().mean()), rel=1e-4)


def test_the_losses_are_differences_of_means_and_the_critic_s_has_the_penalty() -> None:
    def critic(x: Tensor) -> Tensor:
        return 2 * x[:, 0]

    real, fake = torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [2.0]])
    loss = critic_loss(critic, real, fake, penalty=10.0, context=CONTEXT)
    assert float(loss) == pytest.approx(7 - 4 + 10 * (2 - 1) ** 2)
    assert float(generator_loss(critic, fake)) == -7


def test_the_penalty_s_gradient_goes_through_the_critic_twice() -> None:
    """Against finite differences of the penalty, in double precision."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Block(4, 8, layer_norm, down=True), nn.Flatten())
    critic.append(nn.Linear(8 * 16, 1)).double()
    real, fake = torch.rand(2, 3, 1, 8, 8, dtype=torch.float64)

    def penalty() -> Tensor:
        torch.manual_seed(1)
        return gradient_penalty(lambda x: critic(x).flatten(), real, fake)

    weight = critic[0].weight
    assert isinstance(weight, Tensor)
    (gradient,) = torch.autograd.grad(penalty(), weight)
    for place in ((0, 0, 0, 0), (2, 0, 1, 1), (3, 0, 2, 1)):
        found = []
        for change in (1e-6, -1e-6):
            with torch.no_grad():
                weight[place] += change
            found.append(float(penalty().detach()))
            with torch.no_grad():
                weight[place] -= change
        assert float(gradient[place]) == pytest.approx((found[0] - found[1]) / 2e-6, rel=1e-3, abs=1e-8)


# ---------------------------------------------------------------------------------------------------------------------
# Networks


def downwards_weights(dim: int, outputs: int) -> int:
    """Of the authors' critic and encoder for grey images of 64: a convolution, four blocks, a linear layer."""
    count = 9 * dim + dim
    for inputs, made in ((dim, 2 * dim), (2 * dim, 4 * dim), (4 * dim, 8 * dim), (8 * dim, 8 * dim)):
        norms = 2 * 2 * inputs
        count += norms + 9 * inputs * inputs + 9 * inputs * made + made + inputs * made + made
    return count + 16 * 8 * dim * outputs + outputs


def upwards_weights(dim: int, latent: int) -> int:
    """Of the authors' generator of such images."""
    count = (latent + 1) * 16 * 8 * dim
    for inputs, made in ((8 * dim, 8 * dim), (8 * dim, 4 * dim), (4 * dim, 2 * dim), (2 * dim, dim)):
        norms = 2 * inputs + 2 * made
        count += norms + 9 * inputs * made + 9 * made * made + made + inputs * made + made
    return count + 2 * dim + 9 * dim + 1


def test_the_networks_have_the_authors_sizes_at_64() -> None:
    networks = Networks(1, 64, 64, 128, bounded=False)
    counts = {name: sum(w.numel() for w in part.parameters()) for name, part in networks.named_children()}
    assert counts == {
        "generator": upwards_weights(64, 128),
        "critic": downwards_weights(64, 1),
        "encoder": downwards_weights(64, 128),
    }


@pytest.mark.parametrize(("size", "wanted"), [(8, [4, 8]), (32, [4, 8, 16, 32]), (64, [4, 8, 16, 32, 32])])
def test_each_size_has_its_blocks(size: int, wanted: list[int]) -> None:
    assert widths(size, 4) == wanted
    networks = Networks(3, size, 4, 8, bounded=True)
    x = networks.generator(torch.randn(2, 8))
    assert x.shape == (2, 3, size, size)
    assert x.abs().max() <= 1
    assert networks.judged(x).shape == (2,)
    assert networks.critic(x).features.shape == (2, 16 * wanted[-1])
    z = networks.encoder(x)
    assert z.shape == (2, 8)
    assert z.abs().max() <= 1


def test_a_block_is_the_sum_of_a_shortcut_and_a_residual() -> None:
    """Written out with torch's functions in the authors' order: the shortcut enlarges first and pools first."""
    f, x = nn.functional, torch.randn(2, 4, 8, 8)
    for down in (False, True):
        block = Block(4, 6, layer_norm, down=down)
        norm1, _, _, conv1, norm2, _, conv2, _ = block.residual
        pointwise = block.shortcut[1]

        def normalised(x: Tensor, norm: nn.Module) -> Tensor:
            return f.relu(f.group_norm(x, 1, norm.weight, norm.bias))  # type: ignore[arg-type]

        def resized(x: Tensor, where: str, down: bool = down) -> Tensor:
            if down:
                return f.avg_pool2d(x, 2) if where == "last" else x
            return f.interpolate(x, scale_factor=2) if where == "first" else x

        y = conv1(resized(normalised(x, norm1), "first"))
        y = resized(conv2(normalised(y, norm2)), "last")
        short = f.avg_pool2d(x, 2) if down else f.interpolate(x, scale_factor=2)
        assert conv1.bias is None
        assert torch.allclose(block(x), pointwise(short) + y, atol=1e-5)


def test_the_critic_judges_each_image_by_itself() -> None:
    networks = built().networks.train()
    x = torch.rand(6, 1, 8, 8)
    alone = torch.cat([networks.judged(image) for image in x.split(1)])
    assert torch.allclose(networks.judged(x), alone, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Training and scoring


def test_the_critic_is_trained_several_times_for_one_step_of_the_generator_with_other_images_each() -> None:
    method = built(critic_steps=3)
    steps = {"critic": 0, "generator": 0}
    met: list[Tensor] = []
    nets = method.networks
    for name, part in (("critic", nets.critic), ("generator", nets.generator)):
        weight = next(part.parameters())
        weight.register_post_accumulate_grad_hook(lambda _, name=name: steps.update({name: steps[name] + 1}))
    nets.critic.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0].detach()))
    x = torch.rand(3 * 16, 1, 8, 8)
    losses = method.gan_step(CONTEXT)(x, torch.ones(()))
    assert steps == {"critic": 3, "generator": 1}
    assert set(losses) == {"critic", "generator"}
    judged = met[: 3 * 3 : 3]  # real ones, then fake ones, then what lies between
    assert torch.equal(torch.cat(judged), x)


def test_a_class_of_few_images_gives_the_critic_whole_batches() -> None:
    method, met = built(critic_steps=3), []
    method.networks.critic.register_forward_pre_hook(lambda _, inputs: met.append(len(inputs[0])))
    method.gan_step(CONTEXT)(torch.rand(20, 1, 8, 8), torch.ones(()))
    assert met == [16, 16, 16] * 3 + [16]
    few = FAnoGAN(**{**SMALL, "epochs": 2, "encoder_epochs": 1}).fit(lit(0, 3, 1), CONTEXT)
    assert np.isfinite(few.score(TEST[0])).all()


def test_a_step_of_the_game_is_that_of_its_equations() -> None:
    method = built(critic_steps=1)
    plain = copy.deepcopy(method.networks)
    optimiser_c, optimiser_g = (
        torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.0, 0.9)) for part in (plain.critic, plain.generator)
    )
    x = torch.rand(16, 1, 8, 8) * 2 - 1
    torch.manual_seed(1)
    losses = method.gan_step(CONTEXT)(x, torch.ones(()))
    torch.manual_seed(1)
    made = plain.generator(torch.randn(16, 8)).detach()
    between = (x + torch.rand(16, 1, 1, 1) * (made - x)).requires_grad_()
    slopes = torch.autograd.grad(plain.judged(between).sum(), between, create_graph=True)[0].flatten(1).norm(dim=1)
    loss_c = plain.judged(made).mean() - plain.judged(x).mean() + 10 * (slopes - 1).square().mean()
    loss_c.backward()
    optimiser_c.step()
    loss_g = -plain.judged(plain.generator(torch.randn(16, 8))).mean()
    loss_g.backward()
    optimiser_g.step()
    assert float(losses["critic"]) == pytest.approx(float(loss_c.detach()), rel=1e-4)
    # Adam's first step goes by the gradient's sign, so that rounding shows where a gradient is nearly 0
    assert float(losses["generator"].detach()) == pytest.approx(float(loss_g.detach()), rel=1e-2)
    first, expected = method.networks.critic.features[0].weight, plain.critic.features[0].weight
    assert isinstance(first, Tensor) and isinstance(expected, Tensor)
    assert (first - expected).abs().mean() < 1e-4  # of steps of 1e-3


@pytest.mark.parametrize("kappa", [0.0, 1.0, 2.5])
def test_izi_f_and_the_score_are_mean_squares_of_image_and_features(kappa: float) -> None:
    method = built(kappa=kappa)
    nets = method.networks.eval()
    x = torch.rand(4, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        x_hat = nets.generator(nets.encoder(x))
        image = ((x - x_hat) ** 2).reshape(4, -1).numpy().sum(axis=1) / 64
        features = nets.critic.features
        difference = (features(x) - features(x_hat)).numpy()
        wanted = image + kappa * (difference**2).sum(axis=1) / (16 * 8)
        assert method.anomaly(x).numpy() == pytest.approx(wanted, rel=1e-4)
    losses = method.step(CONTEXT)(x, torch.ones(()))
    assert float(losses["image"] + kappa * losses["features"]) == pytest.approx(wanted.mean(), rel=1e-4)


def test_the_encoder_is_trained_after_the_others_and_alone() -> None:
    method = FAnoGAN(**SMALL, epochs=2, encoder_epochs=2)
    epochs: list[Epoch] = []
    states = []
    for epoch in method.fit_epochs(lit(0, 80, 1), CONTEXT):
        epochs.append(epoch)
        states.append({name: value.clone() for name, value in method.networks.state_dict().items()})
    assert [(e.number, e.total, e.scorable, *e.losses) for e in epochs] == [
        (1, 4, False, "critic", "generator"),
        (2, 4, False, "critic", "generator"),
        (3, 4, True, "image", "features"),
        (4, 4, True, "image", "features"),
    ]

    def moved(before: int, after: int) -> set[str]:
        names = [name for name in states[0] if not torch.equal(states[before][name], states[after][name])]
        return {name.partition(".")[0] for name in names}

    assert moved(0, 1) == {"generator", "critic"}
    assert moved(1, 2) == moved(2, 3) == {"encoder"}
    still = [
        name
        for name, weight in method.networks.named_parameters()
        if torch.equal(weight, built().networks.state_dict()[name])
    ]
    # the last offsets shift both of the critic's means alike
    last = ("critic.head.bias", "critic.features.1.residual.6.bias", "critic.features.1.shortcut.1.bias")
    assert set(still) <= set(last)


def test_it_learns_either_of_two_digits_and_an_untrained_copy_does_not() -> None:
    trained, untrained = [], []
    for normal, other in ((0, 1), (1, 0)):
        train, test, labels = digits(normal, other)
        for reached, epochs in ((trained, 6), (untrained, 0)):
            method = FAnoGAN(**SMALL, epochs=epochs, encoder_epochs=2 * epochs).fit(train, CONTEXT)
            reached.append(auroc(labels, method.score(test)))
    assert min(trained) > 0.9, trained
    assert min(untrained) < 0.6, untrained


def test_scores_are_the_image_s_own_and_of_the_seed_and_colour_works() -> None:
    images = lit(0, 40, 7, channels=3)
    scores = []
    for seed in (0, 1):
        method = FAnoGAN(**SMALL, epochs=1, encoder_epochs=1).fit(lit(0, 80, 1, channels=3), FitContext(seed=seed))
        whole = method.score(images)
        scores.append(whole)
        assert np.isfinite(whole).all()
        assert method.score(images[:1]) == pytest.approx(whole[:1], rel=1e-4)
        assert method.score(images[::-1].copy()) == pytest.approx(whole[::-1], rel=1e-4)
    assert not np.allclose(scores[0], scores[1])


def test_reconstructions_are_the_generator_s_images_of_the_encoder_s_vectors() -> None:
    method = FAnoGAN(**SMALL, epochs=1, encoder_epochs=1).fit(lit(0, 80, 1), CONTEXT)
    made = method.reconstruct(TEST[0])
    assert made is not None
    nets = method.networks
    with torch.no_grad():
        images = nets.generator(nets.encoder(symmetric(torch.from_numpy(TEST[0]).permute(0, 3, 1, 2))))
    wanted = (127.5 * (images + 1)).permute(0, 2, 3, 1).numpy()
    assert np.abs(made - wanted).max() <= 1
