"""`make bench`: the generator's forward pass beside a plain one of the same weights, in one run on this machine.

Each way runs in a process of its own, so that peak memory is its own. Prints a table and writes
benchmarks/forward.json; figures of different machines or runs do not compare, the ratios of one run do.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.hagan import HAGANGenerator
from model_store.networks.layers import UpsampleConv3d, fold_upsampling

LATENT_DIM = 1024
RESULT = Path(__file__).with_name("forward.json")


def plain_forward(generator: HAGANGenerator, z: Tensor) -> Tensor:
    """G as the paper draws it: every upsampled tensor is made, then convolved with 3^3 taps."""

    def through(part: nn.Module, name: str, x: Tensor) -> Tensor:
        conv = part.get_submodule(name)
        assert isinstance(conv, nn.Conv3d)
        if isinstance(conv, UpsampleConv3d):
            x = F.interpolate(x, scale_factor=2)
        return F.conv3d(x, conv.weight, conv.bias, padding=1)

    def normed(part: nn.Module, index: int, x: Tensor) -> Tensor:
        norm = part.get_submodule(f"norm{index}")
        assert isinstance(norm, nn.GroupNorm)
        return F.relu(F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps))

    common, high = generator.common, generator.high
    x: Tensor = common.fc1(z).view(1, -1, 4, 4, 4)
    for index in range(1, 6):
        x = normed(common, index, through(common, f"conv{index}", x))
    x = normed(high, 1, through(high, "conv1", x))
    return torch.tanh(through(high, "conv2", x))


def forward_of(way: str, size: int, width: int) -> Callable[[], Tensor]:
    """The forward pass to time: plain, float32 or bfloat16."""
    torch.manual_seed(0)
    generator = HAGANGenerator(size, width, LATENT_DIM).requires_grad_(False)
    z = torch.randn(1, LATENT_DIM)
    del generator.low
    if way == "plain":
        return lambda: plain_forward(generator, z)
    dtype = torch.float32 if way == "float32" else torch.bfloat16
    generator.to(dtype)
    fold_upsampling(generator)

    def folded() -> Tensor:
        volume: Tensor = generator(z.to(dtype))
        return volume.float()

    return folded


def measure(way: str, size: int, width: int, runs: int) -> dict[str, float]:
    """Median seconds and peak memory of this process."""
    forward = forward_of(way, size, width)
    with torch.inference_mode():
        forward()
        seconds = []
        for _ in range(runs):
            start = time.perf_counter()
            forward()
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"median_s": statistics.median(seconds), "peak_bytes": float(peak)}


def ways() -> tuple[str, ...]:
    """What to compare. Without AVX-512 torch emulates bfloat16 convolutions, over 100 times slower than float32."""
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return ("plain", "float32", "bfloat16") if fast else ("plain", "float32")


def largest_difference(size: int, width: int) -> float:
    """Largest difference of the folded float32 volume from the plain one, on [-1, 1]."""
    with torch.inference_mode():
        return float((forward_of("plain", size, width)() - forward_of("float32", size, width)()).abs().max())


def main() -> None:
    """The whole comparison, or with --way one of its child processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", choices=["plain", "float32", "bfloat16"])
    options = parser.parse_args()
    if options.way:
        sys.stdout.write(json.dumps(measure(options.way, options.sizes[0], options.width, options.runs)))
        return
    results: dict[str, dict[str, dict[str, float]]] = {}
    for size in options.sizes:
        results[str(size)] = {way: _child(way, size, options) for way in ways()}
        plain = results[str(size)]["plain"]
        for way, found in results[str(size)].items():
            faster, smaller = plain["median_s"] / found["median_s"], found["peak_bytes"] / plain["peak_bytes"]
            sys.stdout.write(
                f"{size}^3 {way:9} {found['median_s']:7.2f} s  {faster:5.2f} x  "
                f"{found['peak_bytes'] / 2**30:5.2f} GiB  {smaller:5.2f} of plain\n"
            )
    difference = largest_difference(min(options.sizes), options.width)
    sys.stdout.write(f"largest difference float32 - plain at {min(options.sizes)}^3: {difference:.1e}\n")
    RESULT.write_text(json.dumps({"results": results, "largest_difference": difference}, indent=1) + "\n")


def _child(way: str, size: int, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.forward", "--way", way, "--sizes", str(size)]
    command += ["--width", str(options.width), "--runs", str(options.runs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own module
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
