"""Voxelsmith: the inference server for 3D medical-image GANs."""

from voxelsmith.client import Client
from voxelsmith.job import Job

__all__ = ["Client", "Job"]
