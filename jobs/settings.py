"""All settings: one frozen class, read once in main() from VOXELSMITH_* and passed down."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.logs import LogFormat

_PREFIX = "VOXELSMITH_"
Network = IPv4Network | IPv6Network
_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT\w*)$|_PORT(_\d+_(TCP|UDP)\w*)?$")
_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,253})"
_ROOT_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~@-]+)*")
OWN_PATHS = frozenset(
    {"assets", "docs", "edit", "encode", "generate", "healthz", "jobs", "metrics", "models", "openapi.json", "readyz"}
    | {"translate"}
)
"""What the service's own paths begin with, so that no prefix can be taken for one."""
_LISTED = {
    "allowed_hosts": (re.compile(_NAME), "host names without ports"),
    "cors_origins": (re.compile(rf"https?://{_NAME.lower()}(?::\d{{1,5}})?"), "origins such as https://viewer.example"),
}


_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9._=+-]+)*/?")
_OF_REDIS = {"redis", "rediss", "unix"}
_NUMBERS_OF_REDIS = {"db", "socket_timeout", "socket_connect_timeout", "max_connections", "health_check_interval"}
_LONGEST_S = 10 * 365 * 24 * 3600
"""Of any time: what is added to the clock has to remain a date."""
_ENDPOINT = re.compile(rf"https?://{_NAME}(?::\d{{1,5}})?(?:/[A-Za-z0-9._-]+)?")


def root_path_of(text: str) -> str:
    """A path without the slash at its end. Raises: ValueError."""
    path = text.rstrip("/")
    if not _ROOT_PATH.fullmatch(path):
        raise ValueError("must be a path such as /user/me/voxelsmith")
    if path and path.split("/")[1] in OWN_PATHS:
        raise ValueError("must not begin as a path of the service's own does, such as /jobs")
    return path


def is_bucket(url: str) -> bool:
    return url.startswith("s3://")


def local_path(url: str) -> Path:
    """Of a file:// URL, whose percent signs stand for bytes, or of a path, whose percent signs are its own."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file://") else Path(url)


def _entries(text: str) -> list[str]:
    return [entry for entry in (part.strip() for part in text.split(",")) if entry]


def _networks_of(text: str) -> tuple[Network, ...]:
    """Raises: ValueError."""
    return tuple(ip_network(entry) for entry in _entries(text))


class Settings(BaseSettings):
    """Every setting of the service. Each is read from the environment with the prefix VOXELSMITH_."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Address the API listens on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port the API listens on; 0 takes a free one."""
    root_path: str = ""
    """Where a proxy has the service under a part of an address, such as /user/me/voxelsmith: that part."""
    allowed_hosts: str = ""
    """Host names, with commas between them, that are served without keys beside those of loopback."""
    cors_origins: str = ""
    """Origins such as https://viewer.example, with commas between them, whose pages may call the API."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Where the queue lives: redis://, rediss:// or unix://."""
    store_url: str = "file:///var/lib/voxelsmith/store"
    """Where results live: file:// or s3://bucket/prefix."""
    store_redirect_s: int = Field(default=120, ge=0, le=7 * 24 * 3600)
    """A bucket's results are downloaded from it directly, at an address that is valid for this long; 0: never."""
    store_public_endpoint: str = ""
    """Address of the bucket's server in those addresses, where clients know it by another one."""
    models_url: str = ""
    """A model folder (path or file:// URL) or s3://bucket/prefix, beside the shipped demo models."""
    model_cache: Path = Path("/var/cache/voxelsmith/models")
    """Folder where workers keep the files of models that live in a bucket."""
    model_cache_bytes: int = Field(default=50 * 2**30, ge=0)
    """Files there are removed, least recently used first, above this."""
    api_key: SecretStr = SecretStr("")
    """The key that commands with --server send; the service itself never reads it."""
    queue_prefix: str = "voxelsmith"
    """Prefix of every Redis key, so that several services can share one server."""
    ephemeral: bool = False
    """Accept a queue without an append-only file. Jobs may then be lost."""

    log_format: LogFormat = "text"
    """text, or json: one object per line with request and job ids."""

    device: str = "cpu"
    """cpu, cuda:N, or all (one worker per CUDA device)."""
    threads: int = Field(default=0, ge=0)
    """CPU threads per worker; 0 shares the cores that the process may use among the workers."""
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the forward pass."""
    low_memory: bool = False
    """Smaller activations for more time; the volumes are the same up to rounding."""
    memory_limit_bytes: int = Field(default=0, ge=0)
    """A job that would need more at once is refused; 0 takes the container's limit, or the machine's memory."""
    model_memory_bytes: int = Field(default=8 * 2**30, ge=0)
    """Resident models of one worker are dropped, least recently used first, above this."""

    queue_limit: int = Field(default=1000, ge=1)
    """Jobs queued at most; further ones get 503."""
    key_max_jobs: int = Field(default=100, ge=1)
    """Jobs of one API key that have not ended; further ones get 429."""
    key_max_samples: int = Field(default=1024, ge=1)
    """Samples in jobs of one API key that have not ended; further ones get 429."""
    key_max_bytes: int = Field(default=50 * 2**30, ge=1)
    """Results, uploads and large requests of one API key; beyond it posts get 429 and running jobs fail."""
    key_max_memory_bytes: int = Field(default=128 * 2**20, ge=1)
    """What records of one API key take of the queue's memory; beyond it posts get 429 and running jobs fail."""
    key_max_directions: int = Field(default=100, ge=1)
    """Directions that one API key has fitted and not removed; further ones get 429."""
    key_max_webhooks: int = Field(default=200, ge=1)
    """Jobs of one API key whose webhooks are not delivered and not given up; further ones get 429."""
    webhook_http: bool = False
    """Webhooks may go to http:// addresses, not to https:// alone."""
    webhook_networks: str = ""
    """Networks such as 10.1.0.0/16, with commas between them, where webhooks may go beside public addresses."""
    queue_memory_bytes: int = Field(default=2 * 2**30, ge=64 * 2**20)
    """maxmemory of the embedded queue: beyond it posts get 503 until jobs are removed or expire."""
    max_upload_bytes: int = Field(default=512 * 2**20, ge=1)
    """Largest body of POST /encode."""
    upload_timeout_s: float = Field(default=3600.0, gt=0, le=_LONGEST_S)
    """An upload must be whole after this."""
    max_voxels: int = Field(default=512**3, ge=1)
    """Largest decoded upload, in voxels."""
    max_job_voxels: int = Field(default=2**31, ge=1)
    """Voxels that one job may make, all its volumes together."""
    result_ttl_s: int = Field(default=7 * 24 * 3600, ge=1, le=_LONGEST_S)
    """Finished jobs and their results are removed after this."""
    min_free_bytes: int = Field(default=2**30, ge=0)
    """New jobs are refused with 507 while the disk of the store, or of uploads under way, has less free space."""
    model_patience_s: float = Field(default=30.0, ge=0, le=_LONGEST_S)
    """A job may be passed over for this long by later ones whose models a worker holds; 0 keeps the order."""
    job_timeout_s: float = Field(default=1800.0, gt=0, le=_LONGEST_S)
    """A job running longer is given up and its worker process replaced."""
    lease_s: float = Field(default=30.0, gt=0, le=_LONGEST_S)
    """A worker silent for this long is lost; it renews three times per lease."""
    max_crashes: int = Field(default=3, ge=1)
    """A job is failed after losing this many workers."""
    shutdown_grace_s: float = Field(default=20.0, ge=0, le=_LONGEST_S)
    """On SIGTERM a worker may finish the sample in hand for this long before it hands its job back."""

    @field_validator("redis_url")
    @classmethod
    def _reachable(cls, url: SecretStr) -> SecretStr:
        """What the client would stumble over when it connects. It may hold a password, so that nothing repeats it."""
        try:
            parts = urlsplit(url.get_secret_value())
            _ = parts.port  # is read, and so judged, when it is asked for
            for name, value in parse_qsl(parts.query):
                if name in _NUMBERS_OF_REDIS:
                    float(value)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in _OF_REDIS or (parts.scheme == "unix" and not parts.path):
            raise ValueError("must be redis://host:port/0, rediss://host:port/0 or unix:///path/to/socket")
        return url

    @field_validator("store_url", "models_url")
    @classmethod
    def _readable(cls, url: str, info: ValidationInfo) -> str:
        """A scheme that nobody here can read is told at the start, and so is a bucket that cannot have that name."""
        is_path = info.field_name == "models_url" and "://" not in url
        if not (is_path or url.startswith("file:///") or _BUCKET.fullmatch(url)):
            raise ValueError("must be file:///folder or s3://bucket/prefix")
        return url

    @field_validator("store_public_endpoint")
    @classmethod
    def _plain(cls, url: str) -> str:
        if url and not _ENDPOINT.fullmatch(url):
            raise ValueError("must be an address such as https://s3.example:9000")
        return url

    @field_validator("root_path")
    @classmethod
    def _rooted(cls, path: str) -> str:
        return root_path_of(path)

    @field_validator("allowed_hosts", "cors_origins")
    @classmethod
    def _sound(cls, text: str, info: ValidationInfo) -> str:
        pattern, what = _LISTED[str(info.field_name)]
        for entry in _entries(text):
            if not pattern.fullmatch(entry):
                raise ValueError(f"must be {what}, with commas between them")
        return text

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        try:
            _networks_of(text)
        except ValueError as err:
            raise ValueError("must be networks such as 10.1.0.0/16, with commas between them") from err
        return text

    @property
    def webhook_allowed(self) -> tuple[Network, ...]:
        """What `webhook_networks` names."""
        return _networks_of(self.webhook_networks)

    @property
    def allowed_host_names(self) -> frozenset[str]:
        return frozenset(_entries(self.allowed_hosts.lower()))

    @property
    def allowed_origins(self) -> frozenset[str]:
        return frozenset(_entries(self.cors_origins))

    @property
    def models_path(self) -> Path | None:
        """The extra model folder; None where there is none or a bucket."""
        if not self.models_url or is_bucket(self.models_url):
            return None
        return local_path(self.models_url)


def misspelt(environment: Iterable[str]) -> dict[str, str | None]:
    """The variables with our prefix that are no setting, and the setting that each may mean.

    Kubernetes sets some for every service of a namespace; where one is named voxelsmith, they begin as ours do.
    """
    known = list(Settings.model_fields)
    found: dict[str, str | None] = {}
    for variable in sorted(environment):
        if not variable.upper().startswith(_PREFIX) or _OF_KUBERNETES.search(variable.upper()):
            continue
        name = variable[len(_PREFIX) :].lower()
        if name not in known:
            near = get_close_matches(name, known, n=1)
            found[variable] = _PREFIX + near[0].upper() if near else None
    return found
