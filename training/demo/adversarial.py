"""The adversarial phase of the demo model: the paper's iterations (hagan.py), from where the warm start ended."""

from pathlib import Path

import torch

from model_store.networks.hagan import HAGANEncoder, HAGANGenerator
from training.demo.anatomy import draw
from training.demo.warm_start import Scans, Tell
from training.hagan.config import HAGANConfig
from training.hagan.trainer import HAGANTrainer, save

RATE = 2e-5
"""Of generator and encoder: a fifth of the paper's, because they have already converged. The discriminator is new and
keeps the paper's rate."""
KEEP_EVERY = 5


def adversarial(generator: HAGANGenerator, encoder: HAGANEncoder, scans: Scans, width: int, iterations: int,
                state: Path, tell: Tell) -> None:  # fmt: skip
    """D, G, E^H and E^G in turn on deformed whole heads, batches of two; goes on from `state` where it exists.

    Skull-stripped scans are left out: samples of N(0, I) are whole heads, and D would tell the two apart by that alone.
    """
    sizes = {"size": generator.size, "width": width, "latent_dim": generator.common.latent_dim, "batch_size": 2}
    rates = {"lr_generator": RATE, "lr_encoder": RATE}
    config = HAGANConfig.model_validate({"data": state.parent, "out": state.parent, **sizes, **rates})
    trainer = HAGANTrainer(config)
    trainer.generator.load_state_dict(generator.state_dict())
    trainer.encoder.load_state_dict(encoder.state_dict())
    if state.exists():
        trainer.restore(torch.load(state, weights_only=True))
    while trainer.iteration < iterations:
        source = torch.Generator().manual_seed(trainer.iteration)
        real = torch.stack([scans.slab_of(z, 0, scans.size) for z in draw(config.batch_size, source, 0.0)])
        losses = trainer.step(real, None)
        if trainer.iteration % KEEP_EVERY == 0:
            save(state, trainer.state())
        tell("adversarial", trainer.iteration, iterations, float(losses["generator"]))
    generator.load_state_dict(trainer.generator.state_dict())
    encoder.load_state_dict(trainer.encoder.state_dict())
