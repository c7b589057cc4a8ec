"""Many hosts on one: a real Redis with TLS and a user of its own, API and worker processes that share nothing else."""

import contextlib
import datetime
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.processes import eventually

USER_RULES = "~voxelsmith ~voxelsmith:* ~rq:* &rq:* +@all -@dangerous -@admin +info +keys +config|get"

DEFAULT_RULES = "default off ~* &* +@all"
"""Nobody can log in as it. Without its rights Redis 7.0 skips most of its own log at a start, and with it all jobs."""


def free_port() -> int:
    """Below those that Linux gives to outgoing connections, or one of them might take it before its server does."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def write_certificate(folder: Path) -> None:
    """A key and a certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "queue of a test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "redis.key").write_bytes(private)
    (folder / "redis.crt").write_bytes(certificate.public_bytes(pem))


class RedisServer:
    """Debian's redis-server: TLS alone, no default user, a log synced at every write."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("redis-server is not installed (apt-get install redis-server)")
        self.folder, self.port, self.password = folder, free_port(), secrets.token_hex(16)
        write_certificate(folder)
        rules = (
            DEFAULT_RULES,
            f"voxelsmith on >{self.password} {USER_RULES}",
            f"operator on >{self.password} ~* +@all",
        )
        tls = f"tls-port {self.port}\ntls-cert-file {folder}/redis.crt\ntls-key-file {folder}/redis.key\n"
        (folder / "redis.conf").write_text(
            f"port 0\nbind 127.0.0.1\n{tls}tls-ca-cert-file {folder}/redis.crt\ntls-auth-clients no\ndir {folder}\n"
            'appendonly yes\nappendfsync always\nmaxmemory-policy noeviction\nsave ""\n'
            + "".join(f"user {rule}\n" for rule in rules)
        )
        self._command = [binary, str(folder / "redis.conf")]
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "voxelsmith") -> str:
        return f"rediss://{user}:{self.password}@127.0.0.1:{self.port}/0?ssl_ca_certs={self.folder}/redis.crt"

    def start(self) -> None:
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

        def answers() -> bool:
            try:
                with Redis.from_url(self.url("operator"), retry=None) as client:
                    return bool(client.ping())
            except RedisError:
                return False

        eventually(answers, 30)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Cluster:
    """Two front ends and three workers, each a process with its own environment, temp folder and log."""

    redis: RedisServer
    environment: dict[str, str]
    folder: Path
    ports: list[int] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def settings(self) -> Settings:
        return Settings(
            redis_url=SecretStr(self.redis.url()),
            store_url=self.environment["VOXELSMITH_STORE_URL"],
            lease_s=float(self.environment["VOXELSMITH_LEASE_S"]),
        )

    @contextlib.contextmanager
    def queue(self) -> Iterator[JobQueue]:
        settings = self.settings()
        with connect(settings) as redis:
            yield JobQueue(redis, settings)

    def start(self, name: str, *words: str) -> None:
        """`voxelsmith WORDS` in a session of its own."""
        temp = self.folder / name
        temp.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "voxelsmith", *words]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**os.environ, **self.environment, "TMPDIR": str(temp)},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start_api(self, index: int) -> None:
        self.start(f"api{index}", "api", "--host", "127.0.0.1", "--port", str(self.ports[index]))

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; their exit codes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 40
        codes = {}
        for name, process in self.processes.items():
            try:
                codes[name] = process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                codes[name] = process.wait()
        self.processes = {}
        return codes

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))
