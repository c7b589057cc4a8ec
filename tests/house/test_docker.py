"""The images, the compose file and the manifests, as far as they can be held to their word without an engine."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from jobs.connection import check_server, connect
from jobs.overview import Overview
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.processes import eventually
from tests.support.sides import overview
from voxelsmith.queue_program import carried
from workers.health_check import is_alive
from workers.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("api", "worker", "worker-cpu")
DOCKERFILES = ("api", "worker", "one")
MANIFESTS = [
    document
    for path in sorted((ROOT / "docker" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
UNPRIVILEGED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] in kinds]


WORKLOADS = of_kind("Deployment", "StatefulSet")


def lines(image: str) -> list[str]:
    """The instructions of a Dockerfile, continued lines joined."""
    text = (ROOT / "docker" / f"{image}.Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_variants_with_a_bucket_change_what_is_there_and_name_settings_that_exist() -> None:
    known = {f"VOXELSMITH_{name}".upper() for name in Settings.model_fields}
    variant = yaml.safe_load((ROOT / "docker" / "compose.bucket.yml").read_text())
    assert variant["services"].keys() <= COMPOSE["services"].keys()
    named = set(variant["x-environment"])
    for role in ("api", "worker"):
        patch = yaml.safe_load((ROOT / "docker" / "kubernetes" / "bucket" / f"{role}.yaml").read_text())
        (base,) = [found for found in of_kind(patch["kind"]) if found["metadata"] == patch["metadata"]]
        pod, spec = patch["spec"]["template"]["spec"], base["spec"]["template"]["spec"]
        (container,), (under,) = pod["containers"], spec["containers"]
        assert container["name"] == under["name"]
        named |= {entry["name"] for entry in container["env"]}
        gone = {volume["name"] for volume in pod["volumes"] if volume.get("$patch") == "delete"}
        assert gone == {"store", "models"} < {volume["name"] for volume in spec["volumes"]}
    assert {name for name in named if name.startswith("VOXELSMITH_")} <= known
    assert "VOXELSMITH_MODEL_CACHE" in known
    assert "VOXELSMITH_MODEL_CACHE=/var/cache/voxelsmith/models" in "".join(lines("worker"))


# -- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", DOCKERFILES)
def test_an_image_takes_only_what_the_context_lets_through_and_every_package(image: str) -> None:
    allowed = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")
    copied = [name for line in lines(image) if re.match(r"COPY (?!--)", line) for name in line.split()[1:-1]]
    assert set(copied) == (allowed - {"web"} if image == "worker" else allowed)
    packages = re.search(r"^include = \[(.+)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    assert {name.rstrip("*") for name in re.findall(r'"(.+?)"', packages[1])} < allowed


@pytest.mark.parametrize("image", DOCKERFILES)
def test_an_image_is_pinned_unprivileged_and_has_a_health_check(image: str) -> None:
    steps = lines(image)
    bases = {line.split()[1] for line in steps if line.startswith("FROM")}
    built_on = {"python"} if image == "worker" else {"python", "node"}
    assert {base.partition(":")[0] for base in bases} == built_on
    assert len(bases) == len(built_on), "all stages on one version"
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+|node:\d+\.\d+\.\d+-\w+-slim", base) for base in bases)
    assert all(
        "-c /src/constraints.txt" in line or "==" in line for line in steps if " install " in line and "pip" in line
    )
    last = steps[max(i for i, line in enumerate(steps) if line.startswith("FROM")) :]
    assert "USER 10001:10001" in last
    assert any(line.startswith("HEALTHCHECK") for line in last)
    command = {"one": '"serve", "--data", "/data"'}.get(image, f'"{image}"')
    assert last[-2:] == ['ENTRYPOINT ["voxelsmith"]', f"CMD [{command}]"]


@pytest.mark.parametrize("image", ["api", "one"])
def test_an_image_with_the_api_carries_the_page_built_from_its_lock_file(image: str) -> None:
    steps = lines(image)
    page = steps[: next(i for i, line in enumerate(steps) if line.startswith("FROM python"))]
    assert any("npm ci" in line and "npm run build" in line for line in page)
    assert "COPY --from=page /page/service/static /src/service/static" in steps
    assert {"service/static", "web/node_modules"} <= set((ROOT / ".dockerignore").read_text().splitlines())


def test_the_api_image_has_no_extra_and_the_others_the_workers_extra() -> None:
    installs = {
        image: [line for line in lines(image) if re.search(r"pip install .*/src", line)] for image in DOCKERFILES
    }
    assert [line.split()[-1] for line in installs["api"]] == ["/src"]
    assert {installs[image][-1].split()[-1] for image in ("worker", "one")} == {"'/src[worker,onnx]'"}


def test_the_apptainer_recipe_names_files_that_are_there_and_the_images_base() -> None:
    recipe = (ROOT / "docker" / "voxelsmith.def").read_text()
    base = re.search(r"^From: (.+)$", recipe, re.MULTILINE)
    assert base is not None
    assert f"FROM {base[1]}" in lines("one")
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    wheel = f"voxelsmith-{version[1]}-py3-none-any.whl"
    assert f"    dist/{wheel} /opt/{wheel}" in recipe.splitlines()
    assert set(re.findall(r"VOXELSMITH_(\w+)=", recipe)) <= {name.upper() for name in Settings.model_fields}


# -- compose ---------------------------------------------------------------------------------------------------------


def test_every_container_is_read_only_without_capabilities_and_pinned() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[\w-]+:\d[\w.-]+", service["image"]), name
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
        named = {volume.partition(":")[0] for volume in service["volumes"] if volume[0].isalpha()}
        assert named <= set(COMPOSE["volumes"]), name


def test_services_wait_for_a_healthy_queue_and_mount_models_read_only() -> None:
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["depends_on"] == {"queue": {"condition": "service_healthy"}}
        assert any(re.fullmatch(r".*:/models:ro", volume) for volume in service["volumes"])
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])


def test_what_sets_a_setting_names_one_that_exists() -> None:
    told = {name for service in OURS for name in COMPOSE["services"][service]["environment"]}
    for workload in WORKLOADS:
        told |= {entry["name"] for entry in container(workload).get("env", ())}
    for image in DOCKERFILES:
        told |= {name for line in lines(image) for name in re.findall(r"(VOXELSMITH_\w+)=", line)}
    known = {f"VOXELSMITH_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in told if name.startswith("VOXELSMITH_")} <= known


def test_a_gpu_worker_and_a_cpu_worker_are_never_started_by_accident() -> None:
    services = COMPOSE["services"]
    assert [services[name].get("profiles") for name in OURS] == [None, ["gpu"], ["cpu"]]
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert services["api"]["ports"] == ["${VOXELSMITH_PUBLISH:-127.0.0.1:8000}:8000"]
    assert "ports" not in services["queue"]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The compose file's own command, with Valkey in Redis' place and a Unix socket for its port."""
    socket = tmp_path / "s"
    program = tmp_path / "redis-server"
    program.write_text(f'#!/bin/sh\nexec {carried()[0]} --port 0 --unixsocket {socket} --dir {tmp_path} "$@"\n')
    program.chmod(0o755)
    command = [word.replace("$$", "$") for word in COMPOSE["services"]["queue"]["command"]]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PASSWORD": "correcthorse"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        eventually(socket.exists)
        yield process
        process.kill()


def test_the_queues_command_gives_a_server_that_the_service_takes(
    redis_server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    settings = Settings(redis_url=SecretStr(f"unix://:correcthorse@{tmp_path}/s"), store_url=tmp_path.as_uri())
    with connect(settings) as redis:
        check_server(redis, settings)
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}
    stranger = settings.model_copy(update={"redis_url": SecretStr(f"unix://{tmp_path}/s")})
    assert not Overview(connect(stranger), stranger).ping()
    assert b"correcthorse" not in Path(f"/proc/{redis_server.pid}/cmdline").read_bytes()


# -- a worker's health check -----------------------------------------------------------------------------------------


def alive(settings: Settings) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "VOXELSMITH_REDIS_URL": settings.redis_url.get_secret_value(),
        "VOXELSMITH_STORE_URL": settings.store_url,
        "VOXELSMITH_QUEUE_PREFIX": settings.queue_prefix,
        "VOXELSMITH_LEASE_S": str(settings.lease_s),
    }
    command = [sys.executable, "-m", "workers.health_check"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_worker_is_healthy_while_it_shows_signs_of_life(
    settings: Settings, queue: JobQueue, play: Callable[..., AbstractContextManager[Supervisor]]
) -> None:
    with play(lease_s=30.0):
        eventually(overview(queue).workers, 90.0)
        assert alive(settings.model_copy(update={"lease_s": 30.0})).returncode == 0
        assert not is_alive(overview(queue), "another-host")
    gone = alive(settings)
    assert gone.returncode == 1
    assert gone.stderr == "no worker of this host shows signs of life\n"


# -- kubernetes ------------------------------------------------------------------------------------------------------


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


def name_of(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_a_pod_is_unprivileged_limited_and_probed(workload: dict[str, Any]) -> None:
    pod, only = workload["spec"]["template"]["spec"], container(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert only["securityContext"] == UNPRIVILEGED
    assert "readinessProbe" in only
    assert "memory" in only["resources"]["limits"]
    assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]
    mounts = {mount["name"] for mount in only["volumeMounts"]}
    volumes = {volume["name"] for volume in pod.get("volumes", ())}
    volumes |= {name_of(claim) for claim in workload["spec"].get("volumeClaimTemplates", ())}
    assert mounts == volumes


def test_the_manifests_and_the_compose_file_run_the_same_images_and_redis_command() -> None:
    by_name = {name_of(workload): container(workload) for workload in WORKLOADS}
    services = COMPOSE["services"]
    for pod, service in (("api", "api"), ("worker", "worker"), ("redis", "queue")):
        assert by_name[pod]["image"] == services[service]["image"]
    composed = [word.replace("$$", "$") for word in services["queue"]["command"]]
    assert by_name["redis"]["command"] == composed


def test_what_the_manifests_refer_to_is_there() -> None:
    listed = next(manifest for manifest in MANIFESTS if manifest["kind"] == "Kustomization")["resources"]
    files = {path.name for path in (ROOT / "docker" / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed) == files
    claims = {name_of(claim) for claim in of_kind("PersistentVolumeClaim")}
    labels = {name_of(workload): workload["spec"]["template"]["metadata"]["labels"] for workload in WORKLOADS}
    for workload in WORKLOADS:
        for volume in workload["spec"]["template"]["spec"].get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
    for service in of_kind("Service"):
        assert service["spec"]["selector"] == labels[name_of(service)]
    for policy in of_kind("NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"] == labels[name_of(policy)]
    (scaled,) = of_kind("ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] in labels


def test_a_worker_pod_has_longer_to_end_than_its_worker() -> None:
    (worker,) = (workload for workload in WORKLOADS if name_of(workload) == "worker")
    grace_s = Settings.model_fields["shutdown_grace_s"].default + 5
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace_s
    for name in ("worker", "worker-cpu"):
        assert int(COMPOSE["services"][name]["stop_grace_period"].rstrip("s")) > grace_s
