"""HA-GAN checkpoints in the authors' format with random weights, and what their networks compute.

Written from the description of the format alone: nothing here knows the project's networks, and the layers are spelt
out with torch.nn.functional.
"""

from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def _layer(state: State, conv: str, norm: str | None, shape: tuple[int, ...], random: torch.Generator) -> None:
    fan_in = torch.Size(shape[1:]).numel()
    state[f"{conv}.weight"] = torch.randn(shape, generator=random) * (1.5 / fan_in) ** 0.5
    state[f"{conv}.bias"] = torch.randn(shape[0], generator=random) * 0.1
    if norm is not None:
        state[f"{norm}.weight"] = 1 + 0.2 * torch.randn(shape[0], generator=random)
        state[f"{norm}.bias"] = 0.2 * torch.randn(shape[0], generator=random)


def generator_state(inputs: int, seed: int = 0) -> State:
    random, state = torch.Generator().manual_seed(seed), OrderedDict()
    _layer(state, "fc1", None, (32768, inputs), random)
    channels = [512, 512, 512, 256, 128, 64, 32]
    for n in range(1, 7):
        _layer(state, f"tp_conv{n}", f"bn{n}", (channels[n], channels[n - 1], 3, 3, 3), random)
    _layer(state, "tp_conv7", None, (1, 32, 3, 3, 3), random)
    _layer(state, "sub_G.tp_conv1", "sub_G.bn1", (32, 64, 3, 3, 3), random)
    _layer(state, "sub_G.tp_conv2", "sub_G.bn2", (16, 32, 3, 3, 3), random)
    _layer(state, "sub_G.tp_conv3", None, (1, 16, 3, 3, 3), random)
    return state


def encoder_state(seed: int = 1) -> State:
    random, state = torch.Generator().manual_seed(seed), OrderedDict()
    _layer(state, "conv1", "bn1", (32, 1, 4, 4, 4), random)
    _layer(state, "conv2", "bn2", (32, 32, 3, 3, 3), random)
    _layer(state, "conv3", "bn3", (64, 32, 4, 4, 4), random)
    return state


def sub_encoder_state(size: int, latent: int, seed: int = 2) -> State:
    random, state = torch.Generator().manual_seed(seed), OrderedDict()
    if size == 256:
        _layer(state, "conv1", "bn1", (32, 64, 4, 4, 4), random)
    _layer(state, "conv2", "bn2", (64, 32 if size == 256 else 64, 4, 4, 4), random)
    _layer(state, "conv3", "bn3", (128, 64, 4, 4, 4), random)
    _layer(state, "conv4", "bn4", (256, 128, 4, 4, 4), random)
    _layer(state, "conv5", None, (latent, 256, 4, 4, 4), random)
    return state


def discriminator_state(size: int, classes: int) -> State:
    """Only the parts that tell sizes, and one spectral-norm buffer."""
    state: State = OrderedDict()
    if size == 256:
        state["conv1.weight"] = torch.zeros(16, 1, 4, 4, 4)
    state["conv2.weight"] = torch.zeros(32, 16 if size == 256 else 1, 4, 4, 4)
    state["conv2.u0"] = torch.zeros(1, 32)
    state["fc1.weight"], state["fc2.weight"] = torch.zeros(64, 129), torch.zeros(1, 64)
    if classes:
        state["fc2_class.weight"] = torch.zeros(classes, 64)
    state["sub_D.conv5.weight"] = torch.zeros(1 + classes, 256, 4, 4, 4)
    return state


def save(path: Path, state: State, *, prefix: str = "module.", optimizer: bool = False) -> Path:
    """As the authors' training loop saves it; `optimizer` adds an Adam state as torch 1.8 wrote it."""
    model = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    whole: dict[str, object] = {"model": model}
    if optimizer:
        moments = {
            i: {"step": 80000, "exp_avg": torch.zeros_like(t), "exp_avg_sq": torch.zeros_like(t)}
            for i, t in enumerate(state.values())
        }
        group = {"lr": 1e-4, "betas": (0, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
        whole["optimizer"] = {"state": moments, "param_groups": [{**group, "params": list(range(len(state)))}]}
    torch.save(whole, path)
    return path


def _conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
    return F.conv3d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=stride, padding=padding)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.relu(F.group_norm(x, 8, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def latent_volume(g: State, z: Tensor, size: int) -> Tensor:
    """h of formats.md 1.2: (B, L + K) -> (B, 64, S/4, S/4, S/4)."""
    x = F.linear(z, g["fc1.weight"], g["fc1.bias"]).view(-1, 512, 4, 4, 4)
    x = _norm(g, "bn1", _conv(g, "tp_conv1", x))
    for n in (2, 3, 4):
        x = _norm(g, f"bn{n}", _conv(g, f"tp_conv{n}", _double(x)))
    return _norm(g, "bn5", _conv(g, "tp_conv5", _double(x) if size == 256 else x))


def high_volume(g: State, h: Tensor) -> Tensor:
    """The last two convolutions: (B, 64, a, b, c) -> (B, 1, 4a, 4b, 4c)."""
    return torch.tanh(_conv(g, "tp_conv7", _double(_norm(g, "bn6", _conv(g, "tp_conv6", _double(h))))))


def slab_features(e: State, slab: Tensor) -> Tensor:
    x = _norm(e, "bn1", _conv(e, "conv1", slab, stride=2))
    x = _norm(e, "bn2", _conv(e, "conv2", x))
    return _norm(e, "bn3", _conv(e, "conv3", x, stride=2))


def ground_latent(sub_e: State, features: Tensor) -> Tensor:
    x = features
    for n in (1, 2, 3, 4):
        if f"conv{n}.weight" in sub_e:
            x = _norm(sub_e, f"bn{n}", _conv(sub_e, f"conv{n}", x, stride=2))
    return _conv(sub_e, "conv5", x, padding=0).flatten(1)


def encode(e: State, sub_e: State, volume: Tensor) -> Tensor:
    """Eight separate slabs along A0: (B, 1, S, S, S) -> (B, L)."""
    depth = volume.shape[2] // 8
    parts = [slab_features(e, volume[:, :, i * depth : (i + 1) * depth]) for i in range(8)]
    return ground_latent(sub_e, torch.cat(parts, dim=2))
