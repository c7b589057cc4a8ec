"""The families as they are served: networks behind the Generator protocol. Module keys are the weight file's keys."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model_store.card import ModelCard
from model_store.integrity import BrokenModel
from model_store.networks.hagan import NUM_SLABS, HAGANEncoder, HAGANGenerator
from model_store.networks.layers import fold_upsampling


class Served(nn.Module):
    """What all families share: the card, the device, the weights' size, and the last step of loading."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the forward pass."""
        return next(self.parameters()).dtype

    @property
    def size_bytes(self) -> int:
        """Memory that the weights hold."""
        return sum(tensor.nbytes for tensor in [*self.parameters(), *self.buffers()])

    def settle(self) -> None:
        """Once the weights are in: drop what inference does not run, choose layouts, fold."""


class ServedHAGAN(Served):
    """HA-GAN: z is its only latent space. w is (1, z_dim + number of classes): z beside the one-hot class."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        size, width, latent = card.shape[0], card.network.get("width"), card.latent
        if card.shape != (size, size, size):
            raise BrokenModel("card.json: a HA-GAN makes cubes, but the shape's edges differ")
        if not isinstance(width, int) or width < 2 or width % 2:
            raise BrokenModel("card.json: a HA-GAN's network needs an even width")
        if latent.has_style_space or latent.num_styles != 1 or card.truncation.kind != "normal":
            raise BrokenModel("card.json: a HA-GAN has no style space")
        try:
            self.generator = HAGANGenerator(size, width, latent.z_dim, len(card.classes))
            self.encoder = HAGANEncoder(size, width, latent.z_dim) if card.has_encoder else None
        except ValueError as err:
            raise BrokenModel("card.json: no HA-GAN has this shape") from err

    def settle(self) -> None:
        del self.generator.low  # G^L serves the training alone
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
        fold_upsampling(self.generator)

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, 1, z_dim + classes): identity, with the class beside it."""
        _expect(z, (self.card.latent.z_dim,), "latents")
        z = z.to(self.device, torch.float32)
        one_hot = z.new_zeros(len(z), len(self.card.classes))
        if (label is None) != (one_hot.shape[1] == 0):
            raise ValueError("a class belongs to a conditional model, and only to it")
        if label is not None:
            one_hot[:, label] = 1
        return torch.cat([z, one_hot], dim=1)[:, None]

    def mean_style(self) -> Tensor:
        """(1, z_dim + classes): the mean of N(0, I)."""
        return torch.zeros(1, self.card.latent.z_dim + len(self.card.classes), device=self.device)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:  # noqa: ARG002 -- HA-GAN has no noise
        """(n, 1, z_dim + classes) -> (n, 1, S, S, S) in [-1, 1]."""
        z_dim, classes = self.card.latent.z_dim, len(self.card.classes)
        _expect(w, (1, z_dim + classes), "styles")
        row = w[:, 0].to(self.device, self.dtype)
        volume: Tensor = self.generator(row[:, :z_dim], row[:, z_dim:] if classes else None)
        return volume.float()

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, S, S, S) -> z as (n, 1, z_dim)."""
        if self.encoder is None:
            raise TypeError("this model has no encoder")
        _expect(volume, (1, *self.card.shape), "volumes")
        # The eight sub-volumes as a batch: GroupNorm still sees each alone, and torch's CPU convolution leaves its slow
        # path for a single narrow one (at width 8 and 256^3: a quarter of the time).
        slabs = torch.cat(volume.to(self.device, self.dtype).chunk(NUM_SLABS, dim=2))
        features = torch.cat(self.encoder.high(slabs).chunk(NUM_SLABS), dim=2)
        z: Tensor = self.encoder.ground(features)
        return z.float()[:, None]

    def style_matrices(self) -> Sequence[Tensor]:
        """fc1's weight on the columns that read z: (1024 width, z_dim)."""
        weight: Tensor = self.generator.common.fc1.weight
        return [weight[:, : self.card.latent.z_dim]]


def _expect(x: Tensor, tail: tuple[int, ...], what: str) -> None:
    if x.shape[1:] != tail:
        expected = ", ".join(str(n) for n in tail)
        raise ValueError(f"expected {what} (n, {expected}), got {tuple(x.shape)}")
