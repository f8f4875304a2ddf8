"""Statistics of batch normalisation for each pass through a layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.batchnorm import PassStatistics, by_batch, norms


class Twice(nn.Module):
    """One layer that meets an image and then its double."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.norm(x), self.norm(2 * x + 1)], dim=1)


@pytest.fixture
def network() -> Twice:
    return Twice().eval()


def batches(count: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [3 * torch.randn(16, 2, 4, 4, generator=generator) + 5 for _ in range(count)]


def test_each_pass_is_normalised_by_its_own_statistics(network: Twice) -> None:
    statistics = PassStatistics(network)
    statistics.take(network, batches())
    made = torch.cat([statistics.apply(network)(batch) for batch in batches()])
    assert made.mean(dim=(0, 2, 3)) == pytest.approx([0.0] * 4, abs=1e-3)
    assert made.std(dim=(0, 2, 3)) == pytest.approx([1.0] * 4, abs=2e-2)
    assert torch.allclose(made[:, :2], made[:, 2:], atol=1e-4), "the second pass is the first, doubled"


def test_an_image_is_normalised_alike_whatever_comes_with_it(network: Twice) -> None:
    statistics = PassStatistics(network)
    statistics.take(network, batches())
    normalised = statistics.apply(network)
    (batch, *_) = batches()
    assert torch.allclose(torch.cat([normalised(image[None]) for image in batch]), normalised(batch), atol=1e-6)


def test_statistics_are_means_over_batches_as_training_normalises_them(network: Twice) -> None:
    few = batches(2)
    statistics = PassStatistics(network)
    statistics.take(network, few)
    mean = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in few]).mean(dim=0)
    variance = torch.stack([batch.var(dim=(0, 2, 3)) for batch in few]).mean(dim=0)
    by_hand = (few[0] - mean[:, None, None]) / (variance[:, None, None] + network.norm.eps).sqrt()
    assert torch.allclose(statistics.apply(network)(few[0])[:, :2], by_hand, atol=1e-5)


def test_the_layers_own_statistics_and_mode_stay(network: Twice) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items() if "num_batches" not in name}
    statistics = PassStatistics(network)
    statistics.take(network, batches())
    statistics.apply(network)(batches()[0])
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    assert not any(module.training for module in network.modules())
    assert network.norm.momentum == 0.1
    assert not network.norm._forward_pre_hooks


def test_batches_are_normalised_by_themselves_for_a_while_and_nothing_is_left_of_it(network: Twice) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = batches(1)[0]
    usual = network(batch)
    with by_batch(norms(network)):
        network.eval()  # as scoring does
        made = network(batch)
        assert not network.norm.training
    assert made.mean(dim=(0, 2, 3)) == pytest.approx([0.0] * 4, abs=1e-5)
    assert torch.equal(network(batch), usual)
    after = {name: value for name, value in network.state_dict().items() if name != "norm.num_batches_tracked"}
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    network.train()
    with by_batch(norms(network)):
        pass
    assert network.norm.training
    assert network.norm.momentum == 0.1
