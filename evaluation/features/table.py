"""Feature networks by name."""

from collections.abc import Callable
from pathlib import Path

from evaluation.config import FeaturesName
from evaluation.errors import EvaluationRefused
from evaluation.features.astra import Astra
from evaluation.features.medicalnet import MedicalNet
from evaluation.features.own_encoder import OwnEncoder
from model_store.features.network import FeatureNetwork
from model_store.features.shipped import shipped_network
from model_store.generator import Generator


def network_of(
    name: FeaturesName, device: str, weights: Path | None, model: Callable[[], Generator] | None
) -> FeatureNetwork:
    """Raises: EvaluationRefused, where the network needs what is not there."""
    if (weights is not None) != (name == "medicalnet"):
        raise EvaluationRefused("--weights FILE belongs to --features medicalnet, which cannot do without")
    if name == "own":
        if model is None:
            raise EvaluationRefused("the features own are those of a model's encoder; give --model or --prepared-as")
        return OwnEncoder(model())
    if name == "medicalnet" and weights is not None:
        return MedicalNet(weights, device)
    if name == "distortion" or name == "random":
        return shipped_network(name, device)
    return Astra(device)
