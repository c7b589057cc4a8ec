"""ONNX files for tests: a tiny HA-GAN drawn node by node, small graphs, and a folder of the family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import Tensor

from model_store.card import IntensitySpec, LatentSpec, ModelCard, Provenance
from model_store.sizes.onnx import ONNXCard
from tests.support.models.tiny_models import write_card, write_tiny_hagan

OPSET, IR = 21, 10
Sides = Sequence[int | str]


class Graph:
    """Nodes in the order in which they are drawn; each gives the name of its first output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"{operator}{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def weight(self, values: Any) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def file(self, inputs: Mapping[str, tuple[int, Sides]], output: str, sides: Sides) -> bytes:
        """The bytes of an ONNX file that is sound. `inputs`: type and sides by name."""
        return sealed(
            self.nodes,
            [helper.make_tensor_value_info(name, kind, list(of)) for name, (kind, of) in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, list(sides))],
            self.weights,
        )


def sealed(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    **model: Any,
) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, **model)
    return bytes(made.SerializeToString())


def linear(z_dim: int, shape: Sequence[int], z_sides: Sides = (), seed: int = 0) -> bytes:
    """z to a volume (N, 1, *shape) by a matrix and tanh; z as (N, z_dim) where no other sides are given."""
    draw, random = Graph(), np.random.default_rng(seed)
    flat = draw.node("Flatten", "noise")
    matrix = draw.weight((random.standard_normal((z_dim, int(np.prod(shape)))) / z_dim**0.5).astype(np.float32))
    made = draw.node("Tanh", draw.node("MatMul", flat, matrix))
    volume = draw.node("Reshape", made, draw.weight(np.array([-1, 1, *shape])))
    return draw.file({"noise": (TensorProto.FLOAT, z_sides or ("N", z_dim))}, volume, ("N", 1, *shape))


def hagan(folder: Path, card: ModelCard) -> dict[str, bytes]:
    """Generator and, where it has one, encoder of a tiny HA-GAN's folder, with its weights in float32."""
    weights = load_file(folder / card.name / "weights.safetensors")
    files = {"generator": _hagan_generator(weights, card)}
    if card.has_encoder:
        files["encoder"] = _hagan_encoder(weights, card)
    return files


def _hagan_generator(weights: Mapping[str, Tensor], card: ModelCard) -> bytes:
    draw, layer = Graph(), _Layers(weights)
    inputs: dict[str, tuple[int, Sides]] = {"z": (TensorProto.FLOAT, ("N", card.latent.z_dim))}
    x = "z"
    if card.classes:
        inputs["label"] = TensorProto.INT64, ("N",)
        values = draw.weight(np.array([0, 1], dtype=np.float32))
        one_hot = draw.node("OneHot", "label", draw.weight(np.array(len(card.classes))), values)
        x = draw.node("Concat", x, one_hot, axis=1)
    names = [draw.weight(tensor) for tensor in layer.of("generator.common.fc1")]
    x = draw.node("Gemm", x, *names, transB=1)
    x = draw.node("Reshape", x, draw.weight(np.array([-1, len(weights["generator.common.fc1.bias"]) // 64, 4, 4, 4])))
    doublings = (card.shape[0] // 16).bit_length() - 1
    for n in range(1, 6):
        x = _doubled(draw, x) if 2 <= n <= doublings + 1 else x
        x = layer.norm(draw, layer.conv(draw, x, f"generator.common.conv{n}", 1, 1), f"generator.common.norm{n}")
    x = layer.norm(draw, layer.conv(draw, _doubled(draw, x), "generator.high.conv1", 1, 1), "generator.high.norm1")
    x = draw.node("Tanh", layer.conv(draw, _doubled(draw, x), "generator.high.conv2", 1, 1))
    return draw.file(inputs, x, ("N", 1, *card.shape))


def _hagan_encoder(weights: Mapping[str, Tensor], card: ModelCard) -> bytes:
    draw, layer = Graph(), _Layers(weights)
    first = draw.node("Split", "scan", outputs=8, axis=2, num_outputs=8)
    slabs = []
    for k in range(8):
        x = f"{first[:-1]}{k}"
        for n, (stride, padding) in enumerate([(2, 1), (1, 1), (2, 1)], start=1):
            x = layer.conv(draw, x, f"encoder.high.conv{n}", stride, padding)
            x = layer.norm(draw, x, f"encoder.high.norm{n}")
        slabs.append(x)
    x = draw.node("Concat", *slabs, axis=2)
    for n in range(1, 5):
        if f"encoder.ground.conv{n}.weight" in weights:
            x = layer.norm(draw, layer.conv(draw, x, f"encoder.ground.conv{n}", 2, 1), f"encoder.ground.norm{n}")
    x = draw.node("Flatten", layer.conv(draw, x, "encoder.ground.conv5", 1, 0))
    return draw.file({"scan": (TensorProto.FLOAT, (1, 1, *card.shape))}, x, (1, card.latent.z_dim))


class _Layers:
    """A HA-GAN's layers by the names of their weights."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def of(self, name: str) -> list[Any]:
        return [self._weights[f"{name}.{part}"].float().numpy() for part in ("weight", "bias")]

    def conv(self, draw: Graph, x: str, name: str, stride: int, padding: int) -> str:
        names = [draw.weight(values) for values in self.of(name)]
        return draw.node("Conv", x, *names, strides=[stride] * 3, pads=[padding] * 6)

    def norm(self, draw: Graph, x: str, name: str) -> str:
        weight, bias = self.of(name)
        groups = int(np.gcd(8, len(weight)))
        normed = draw.node(
            "GroupNormalization", x, draw.weight(weight), draw.weight(bias), num_groups=groups, epsilon=1e-5
        )
        return draw.node("Relu", normed)


def _doubled(draw: Graph, x: str) -> str:
    scales = draw.weight(np.array([1, 1, 2, 2, 2], dtype=np.float32))
    how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    return draw.node("Resize", x, "", scales, **how)


def write_onnx(folder: Path, name: str = "tiny-onnx", encoder: bool = True, **card_fields: Any) -> ModelCard:
    """Writes `folder / name`, a HA-GAN with two classes as ONNX; further keywords replace fields of the card."""
    native = write_tiny_hagan(folder / "native", "native", classes=("a", "b"), encoder=encoder)
    files = hagan(folder / "native", native)
    target = folder / name
    target.mkdir(parents=True)
    tensors = {role: torch.frombuffer(bytearray(data), dtype=torch.uint8) for role, data in files.items()}
    save_file(tensors, target / "weights.safetensors")
    fields: dict[str, Any] = {
        "name": name,
        "family": "onnx",
        "title": "A tiny ONNX model for tests",
        "modality": "CT",
        "shape": native.shape,
        "axes": "IAL",
        "spacing_mm": (4.0, 3.0, 2.0),
        "latent": LatentSpec(z_dim=native.latent.z_dim, w_dim=native.latent.z_dim),
        "intensity": IntensitySpec(low=-1024.0, high=600.0, units="HU"),
        "classes": native.classes,
        "has_encoder": encoder,
        "network": {f"{role}_bytes": len(data) for role, data in files.items()}
        | {"session_bytes": sum(map(len, files.values())), "synthesise_bytes": 1 << 20}
        | ({"encode_bytes": 1 << 20} if encoder else {}),
        "provenance": Provenance(origin="imported", notes="random weights"),
    }
    return write_card(target, ONNXCard(**(fields | card_fields), files={"weights.safetensors": ""}))
