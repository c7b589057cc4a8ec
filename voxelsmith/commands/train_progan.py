"""voxelsmith train progan."""

from voxelsmith.commands import train_options as options
from voxelsmith.commands.train_running import configured, run
from voxelsmith.extras import load


def progan(
    data: options.Data,
    out: options.Out,
    name: options.Name = "progan",
    start_from: options.StartFrom = None,
    base: options.Base = (1, 9, 7),
    stages: options.Stages = 5,
    channels: options.Channels = 16,
    critic_channels: options.CriticChannels = 16,
    z_dim: options.ZDim = 512,
    stage_samples: options.StageSamples = 180_000,
    iterations: options.Iterations = 0,
    batch_size: options.BatchSize = 3,
    critic_steps: options.CriticSteps = 6,
    learning_rate: options.LearningRate = 2e-3,
    augment: options.Augment = "none",
    device: options.Device = "cpu",
    data_workers: options.DataWorkers = 0,
    seed: options.Seed = 0,
    save_every: options.SaveEvery = 500,
    modality: options.Modality = "CT",
    window: options.Window = None,
    placement: options.Placement = "stretch",
    spacing_mm: options.Spacing = (1.0, 1.0, 1.0),
    axes: options.Axes = "SPL",
    trim_blank_slices: options.TrimBlankSlices = True,
) -> None:
    """3D-ProGAN of the bone paper (Angermann et al. 2023), progressively grown, by default with its settings."""
    values = options.read(dict(locals()))
    run("training.progressive.trainer", configured(load("training.progressive.config", "train").ProGANConfig, values))
