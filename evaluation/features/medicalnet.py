"""`medicalnet`: a ResNet-50 file of MedicalNet (Chen et al. 2019) that the user brings, the scale of the HA-GAN paper's
tables II to IV and of the bone paper's FID_res. Such files are not ours to ship."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from evaluation.errors import EvaluationRefused
from evaluation.features.resnet3d import ResNet3D
from model_store.features.network import Shape
from model_store.importers.jail import ImportRefused, run_jailed
from model_store.integrity import sha256_of

READER = "evaluation.features.medicalnet_reader"


class MedicalNet:
    """Features (n, 2048), of volumes on their own grid in [-1, 1], as the HA-GAN paper's evaluation has them."""

    name = "medicalnet"
    shape: Shape | None = None

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        """Raises: EvaluationRefused, for a file that is no such network."""
        self.device = torch.device(device)
        self.network = ResNet3D()
        _fill(self.network, _tensors(path))
        self.network.requires_grad_(False).eval().to(self.device)
        self.sha256 = sha256_of(path)

    def features(self, unit: Tensor) -> Tensor:
        """(n, 1, X, Y, Z) -> (n, 2048)."""
        x: Tensor = self.network(unit.to(self.device, torch.float32) * 2 - 1)
        return x


def _tensors(path: Path) -> dict[str, Tensor]:
    """A stranger's file is opened in a child that can do little harm. Raises: EvaluationRefused."""
    with tempfile.TemporaryDirectory(prefix="voxelsmith-") as scratch:
        target = Path(scratch) / "tensors.safetensors"
        try:
            run_jailed(READER, {"file": str(path.resolve()), "out": str(target)})
        except ImportRefused as err:
            raise EvaluationRefused(f"the file of --weights cannot be used: {err.detail}") from err
        tensors: dict[str, Tensor] = load_file(target)
        return tensors


def _fill(network: ResNet3D, tensors: dict[str, Tensor]) -> None:
    try:
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except RuntimeError as err:
        raise EvaluationRefused(
            "the file of --weights is no ResNet-50 of MedicalNet: a tensor has another size"
        ) from err
    lacks = [key for key in missing if not key.endswith("num_batches_tracked")]
    if lacks or unexpected:
        raise EvaluationRefused(
            f"the file of --weights is no ResNet-50 of MedicalNet: {len(lacks)} tensors are missing, "
            f"{len(unexpected)} unknown"
        )
