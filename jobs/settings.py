"""All settings: one frozen class, read once in main() from VOXELSMITH_* and passed down."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of the service. Each is read from the environment with the prefix VOXELSMITH_."""

    model_config = SettingsConfigDict(env_prefix="VOXELSMITH_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """Address the API listens on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port the API listens on; 0 takes a free one."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Where the queue lives: redis://, rediss:// or unix://."""
    store_url: str = "file:///var/lib/voxelsmith/store"
    """Where results live: file:// (s3:// later)."""
    models_url: str = ""
    """A model folder (path or file:// URL) beside the shipped demo models."""
    queue_prefix: str = "voxelsmith"
    """Prefix of every Redis key, so that several services can share one server."""
    ephemeral: bool = False
    """Accept a queue without an append-only file. Jobs may then be lost."""

    device: str = "cpu"
    """cpu, cuda:N, or all (one worker per CUDA device)."""
    threads: int = Field(default=0, ge=0)
    """CPU threads per worker; 0 takes all cores."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the forward pass."""
    model_memory_bytes: int = Field(default=8 * 2**30, ge=0)
    """Resident models of one worker are dropped, least recently used first, above this."""

    queue_limit: int = Field(default=1000, ge=1)
    """Jobs queued at most; further ones get 503."""
    max_upload_bytes: int = Field(default=512 * 2**20, ge=1)
    """Largest body of POST /encode."""
    max_voxels: int = Field(default=512**3, ge=1)
    """Largest decoded upload, in voxels."""
    result_ttl_s: int = Field(default=7 * 24 * 3600, ge=1)
    """Finished jobs and their results are removed after this."""
    job_timeout_s: float = Field(default=1800.0, gt=0)
    """A job running longer is given up and its worker process replaced."""
    lease_s: float = Field(default=30.0, gt=0)
    """A worker silent for this long is lost; it renews three times per lease."""
    max_crashes: int = Field(default=3, ge=1)
    """A job is failed after losing this many workers."""
    shutdown_grace_s: float = Field(default=20.0, ge=0)
    """On SIGTERM a worker may finish the sample in hand for this long before it hands its job back."""

    @property
    def models_path(self) -> Path | None:
        """The extra model folder, or None."""
        return Path(self.models_url.removeprefix("file://")) if self.models_url else None
