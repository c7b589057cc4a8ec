"""`distortion`: a small 3D ResNet (He et al. 2016) trained to say what was done to a volume, and how much of it.

Its 64 features are what it says: 16 coordinates of distortions and anatomy and 48 of the volume's layout, scaled so
that the Euclidean distance between two volumes is about how much worse, or how different, one is. The recipe that made
it is training/demo/distortion_features.py, decision 48 says why.
"""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from model_store.card import WEIGHTS, Provenance
from model_store.faults import FolderFault
from model_store.features.network import Shape
from model_store.integrity import sha256_of

SHAPE = (64, 64, 64)
FEATURES = 64
CARD = "card.json"
SHIPPED = Path(__file__).parent / "distortion"
"""Folder of the card and the weights."""


class FeatureCard(BaseModel):
    """card.json: which weights these are, and what they were trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    """Of weights.safetensors."""
    licence: str
    provenance: Provenance


class Convolution(nn.Conv3d):
    """torch has a kernel of its own for a small volume alone, which takes three times as long as oneDNN's."""

    def forward(self, x: Tensor) -> Tensor:
        is_plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()
        if not (is_plain and torch._C._has_mkldnn) or isinstance(self.padding, str):
            return super().forward(x)
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups
        )


class Block(nn.Module):
    """Two convolutions beside a shortcut; `stride` halves the grid."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = Convolution(before, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = Convolution(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.shortcut = Convolution(before, width, 1, stride=stride, bias=False) if before != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


class DistortionResNet(nn.Module):
    """(n, 1, 64, 64, 64) in [0, 1] -> (n, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(8, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(16)
        self.blocks = nn.Sequential(Block(16, 32, 2), Block(32, 32), Block(32, 64, 2), Block(64, 64), Block(64, 128, 2))
        self.head = nn.Linear(128 * 8, FEATURES)

    def forward(self, unit: Tensor) -> Tensor:
        # Eight neighbours become channels: noise and blur are in their differences, at an eighth of the cost.
        n, _, x, y, z = unit.shape
        pairs = unit.reshape(n, x // 2, 2, y // 2, 2, z // 2, 2).permute(0, 2, 4, 6, 1, 3, 5)
        found = functional.relu(self.bn(self.stem(pairs.reshape(n, 8, x // 2, y // 2, z // 2) * 2 - 1)))
        # By octants, so that it matters where things are.
        octants = functional.adaptive_avg_pool3d(self.blocks(found), 2).flatten(1)
        made: Tensor = self.head(octants)
        return made


class DistortionNetwork:
    """Features (n, 64)."""

    name = "distortion"

    def __init__(self, device: torch.device | str = "cpu", folder: Path = SHIPPED) -> None:
        """Raises: FolderFault, for weights that are not those of the card."""
        self.shape: Shape | None = SHAPE
        self.device = torch.device(device)
        self.sha256 = sha256_of(folder / WEIGHTS)
        if self.sha256 != FeatureCard.model_validate_json((folder / CARD).read_bytes()).sha256:
            raise FolderFault("the weights of the features distortion do not match their sha256: the copy is damaged")
        tensors = load((folder / WEIGHTS).read_bytes())
        self.network = DistortionResNet()
        # All but BatchNorm's counters, which nothing reads in use.
        self.network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()}, strict=False)
        self.network.requires_grad_(False).eval().to(self.device)

    def features(self, unit: Tensor) -> Tensor:
        """(n, 1, 64, 64, 64) -> (n, 64)."""
        x: Tensor = self.network(unit.to(self.device, torch.float32))
        return x
