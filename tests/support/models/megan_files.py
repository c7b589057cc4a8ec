"""MEGAN checkpoints in the authors' format with random weights, and what their networks and their chain compute.

Written from the description of the format alone: nothing here knows the project's networks, the layers are spelt out
with torch.nn.functional, and volumes are stitched as whole arrays.
"""

from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def generator_state(level: int, width: int = 4, blocks: int = 1, halved: bool = True, seed: int = 0) -> State:
    """Of LR (level 0; `halved` with edges at twice the size) or of an HR network."""
    random, state = torch.Generator().manual_seed(seed + level), OrderedDict()
    into, index = 1 if level == 0 else 2, 0
    first = [width] if level == 0 and halved else []
    for n, out in enumerate([width, *first, 2 * width, 4 * width]):
        size = 3 if n == 0 else 4
        _layer(state, f"model.{index}", f"model.{index + 1}", (out, into, size, size, size), out, random)
        index, into = index + 3, out
    for _ in range(blocks):
        for conv, norm in ((0, 1), (4, 5)):
            names = f"model.{index}.conv_block.{conv}", f"model.{index}.conv_block.{norm}"
            _layer(state, *names, (into, into, 3, 3, 3), into, random)
        index += 1
    for out in (2 * width, width):
        _layer(state, f"model.{index}", f"model.{index + 1}", (into, out, 4, 4, 4), out, random)
        index, into = index + 3, out
    _layer(state, f"model.{index}", None, (1, width, 7, 7, 7), 1, random)
    return state


def _layer(
    state: State, conv: str, norm: str | None, shape: tuple[int, ...], out: int, random: torch.Generator
) -> None:
    fan_in = torch.Size(shape[1:]).numel()
    state[f"{conv}.weight"] = torch.randn(shape, generator=random) * (1.5 / fan_in) ** 0.5
    state[f"{conv}.bias"] = torch.randn(out, generator=random) * 0.1
    if norm is not None:
        state[f"{norm}.weight"] = 1 + 0.2 * torch.randn(out, generator=random)
        state[f"{norm}.bias"] = 0.2 * torch.randn(out, generator=random)


def discriminator_state(level: int) -> State:
    """Names and shapes of NETD's first layers, which is all that it takes to tell it."""
    state: State = OrderedDict()
    state["model.0.weight"], state["model.0.bias"] = torch.zeros(8, 2 if level == 0 else 3, 4, 4, 4), torch.zeros(8)
    state["model.8.weight"], state["model.8.bias"] = torch.zeros(1, 8, 4, 4, 4), torch.zeros(1)
    if level == 0:
        state["T_tensor"] = torch.zeros(4, 4)
    return state


def write_files(folder: Path, states: list[State]) -> list[Path]:
    """As the authors' scripts leave them: one folder per level."""
    paths = []
    for level, state in enumerate(states):
        path = folder / (f"test_HR{level}" if level else "test_LR") / "NETG_best.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, path)
        paths.append(path)
    return paths


def run(state: State, x: Tensor, width: int, blocks: int) -> Tensor:
    """A generator: (n, 1 or 2, d, h, w) -> (n, 1, ...), half the size for LR with edges at twice it."""
    x = _normed(state, 1, F.conv3d(x, *_of(state, "model.0"), padding=1)).relu()
    index = 3
    while state[f"model.{index}.weight"].shape[2:] == (4, 4, 4) if f"model.{index}.weight" in state else False:
        x = _normed(state, index + 1, F.conv3d(x, *_of(state, f"model.{index}"), stride=2, padding=1)).relu()
        index += 3
    for _ in range(blocks):
        name = f"model.{index}.conv_block"
        y = F.conv3d(x, *_of(state, f"{name}.0"), padding=1)
        y = F.instance_norm(y, weight=state[f"{name}.1.weight"], bias=state[f"{name}.1.bias"]).relu()
        y = F.conv3d(y, *_of(state, f"{name}.4"), padding=1)
        x = x + F.instance_norm(y, weight=state[f"{name}.5.weight"], bias=state[f"{name}.5.bias"])
        index += 1
    for _ in range(2):
        x = _normed(state, index + 1, F.conv_transpose3d(x, *_of(state, f"model.{index}"), stride=2, padding=1)).relu()
        index += 3
    assert state[f"model.{index}.weight"].shape[1] == width
    return F.conv3d(x, *_of(state, f"model.{index}"), padding=3).tanh()


def _of(state: State, name: str) -> tuple[Tensor, Tensor]:
    return state[f"{name}.weight"], state[f"{name}.bias"]


def _normed(state: State, index: int, x: Tensor) -> Tensor:
    return F.instance_norm(x, weight=state[f"model.{index}.weight"], bias=state[f"model.{index}.bias"])


def resize(volume: Tensor, sides: tuple[int, ...]) -> Tensor:
    return F.interpolate(volume[None, None], size=sides, mode="trilinear", align_corners=True)[0, 0]


def chain(states: list[State], edges: Tensor, sides: tuple[int, int, int], width: int, blocks: int) -> Tensor:
    """The authors' test-time chain (formats 3.4) on whole arrays, in the order they say: (*sides) in [-1, 1]."""
    final = (resize(edges.double(), sides) / 127.5 - 1).float()
    levels = len(states) - 1
    at = tuple(2 * side >> levels for side in sides)
    image = run(states[0], resize(final, at)[None, None], width, blocks)[0, 0]
    for level in range(1, levels + 1):
        shape = tuple(side >> (levels - level) for side in sides)
        image = _finer(states[level], image, resize(final, shape), width, blocks)
    return image


def _starts(side: int) -> list[int]:
    found = list(range(0, side - 31, 20))
    return found if found[-1] == side - 32 else [*found, side - 32]


def _finer(state: State, coarse: Tensor, edges: Tensor, width: int, blocks: int) -> Tensor:
    low = F.pad(coarse, (8,) * 6, value=-1)
    sums = torch.zeros(4, *edges.shape, dtype=torch.float64)
    x, y, z = (_starts(side) for side in edges.shape)
    places = [(a, b, c) for c in z for b in y for a in x]
    for place in [*places, places[-1]]:
        small = low[tuple(slice(first // 2, first // 2 + 32) for first in place)]
        whole = tuple(slice(first, first + 32) for first in place)
        middle = tuple(slice(first + 6, first + 26) for first in place)
        made = run(state, torch.stack([small, edges[whole]])[None], width, blocks)[0, 0]
        sums[0][whole] += made
        sums[1][whole] += 1
        sums[2][middle] += made[6:26, 6:26, 6:26]
        sums[3][middle] += 1
    image = torch.where(sums[3] > 0, sums[2] / sums[3].clamp_min(1), 0)
    rim = torch.ones(edges.shape, dtype=torch.bool)
    rim[6:-6, 6:-6, 6:-6] = False
    return torch.where(rim, sums[0] / sums[1], image).float()
