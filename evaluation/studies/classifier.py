"""The 3D CNN by which HA-GAN's paper judges augmentation (supplementary table VIII), its training, its accuracy."""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

STAGES = ((8, 1), (8, 2), (16, 1), (16, 1), (16, 2), (32, 1), (32, 1), (32, 2), (64, 1), (64, 1), (64, 2), (128, 1),
          (128, 2))  # fmt: skip
"""Channels and stride of each 3^3 convolution; BatchNorm and ELU follow it."""
EPOCHS = 20
"""Section IV-C."""
BATCH, RATE = 10, 1e-3
"""Of Adam, whose rate falls to 0 along a straight line: the paper tells none of it. At a constant rate the accuracy of
classifiers of few volumes still jumps by tens of per cent from epoch to epoch when their training ends."""
Volumes = NDArray[np.float16]
"""(n, X, Y, Z) in [0, 1]."""
Labels = NDArray[np.int64]


class Classifier(nn.Module):
    """(n, 1, S, S, S) in [-1, 1], S a multiple of 32 -> logits (n, classes); S is 128 in the paper."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for (before, _), (after, stride) in pairwise(((1, 1), *STAGES)):
            layers += [nn.Conv3d(before, after, 3, stride, padding=1), nn.BatchNorm3d(after), nn.ELU()]
        self.convs, self.head = nn.Sequential(*layers), nn.Linear(STAGES[-1][0], classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.convs(x).mean((2, 3, 4)))
        return logits


def fitted(volumes: Volumes, labels: Labels, classes: int, seed: int, device: str, epochs: int = EPOCHS) -> Classifier:
    """A classifier after its training. The same arguments give the same one on one kind of device;
    no batch is of one volume, whose deviations BatchNorm could not take at 32^3."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(classes)
    network.to(torch.device(device), memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    parts = max(1, len(volumes) // BATCH)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, epochs * parts)
    source = np.random.default_rng([seed, len(volumes)])
    for _ in range(epochs):
        order = source.permutation(len(volumes))
        for part in np.array_split(order, parts):
            optimiser.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(
                network(_batch(volumes[part], device)), torch.from_numpy(labels[part]).to(device)
            )
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            falling.step()
    return network.eval()


@torch.inference_mode()
def accuracy(network: Classifier, volumes: Volumes, labels: Labels, device: str) -> float:
    """Share of volumes that are given their label."""
    parts = np.array_split(np.arange(len(volumes)), -(-len(volumes) // BATCH))
    told = [network(_batch(volumes[part], device)).argmax(1).cpu().numpy() for part in parts]
    return float((np.concatenate(told) == labels).mean())


def _batch(volumes: Volumes, device: str) -> Tensor:
    return torch.from_numpy(volumes).to(device, torch.float32)[:, None] * 2 - 1
