"""A recipe whose processes share each batch: on few and busy cores they get further than threads."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

Tell = Callable[[str, int, int, float], None]
"""Progress: phase, step, steps, loss."""


@dataclass(frozen=True)
class Share:
    """This process's part of each batch."""

    rank: int = 0
    processes: int = 1

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Average the gradients over the processes; one that this process has no gradient of counts as nought."""
        if self.processes == 1:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
        dist.all_reduce(flat)
        flat /= self.processes
        for parameter, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            parameter.grad = part.reshape(parameter.shape)

    def gathered(self, part: Tensor) -> Tensor:
        """(n, ...) of this process -> (processes * n, ...), the same in each."""
        if self.processes == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.processes)]
        dist.all_gather(parts, part)
        return torch.cat(parts)

    def follow_the_first(self, network: nn.Module) -> None:
        """Take up the first process's parameters."""
        if self.processes > 1:
            for parameter in network.parameters():
                dist.broadcast(parameter.data, 0)


ALONE = Share()


def lines(every: int) -> Tell:
    """Progress on standard error, each `every` steps and at a phase's end: the mean loss since the last line."""
    losses: list[float] = []

    def tell(phase: str, step: int, steps: int, loss: float) -> None:
        losses.append(loss)
        if step % every == 0 or step == steps:
            stamp = time.strftime("%H:%M:%S")
            sys.stderr.write(f"{stamp} {phase}: {step}/{steps} loss {sum(losses) / len(losses):.4f}\n")
            losses.clear()

    return tell


Recipe = Callable[[Path, Path, Tell, Share], Path | None]
"""Makes a model of a folder of scans in another folder; of several processes the first one gives the model's folder."""


def in_processes(recipe: Recipe, description: str | None) -> None:
    """Command line of a recipe whose processes share each batch."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2, help="that share each batch of what is learned by heart")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "meet").unlink(missing_ok=True)
    ranks = arguments.processes
    spawn(_one_of, (ranks, recipe, arguments.data, arguments.out), ranks)  # type: ignore[no-untyped-call]


def _one_of(rank: int, processes: int, recipe: Recipe, data: Path, out: Path) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        dist.init_process_group("gloo", f"file://{out.resolve()}/meet", rank=rank, world_size=processes)
    folder = recipe(data, out, lines(20) if rank == 0 else lambda *_: None, Share(rank, processes))
    if folder is not None:
        sys.stderr.write(f"{folder}\n")
