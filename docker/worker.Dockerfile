# A GPU worker (one supervised process per card). From the project's root:
#   docker build -f docker/worker.Dockerfile -t voxelsmith-worker:0.1.0 .
# Without a GPU, with a much smaller torch:
#   docker build -f docker/worker.Dockerfile --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu \
#     -t voxelsmith-worker-cpu:0.1.0 .
# torch's wheels carry the CUDA libraries; the host gives the driver through the NVIDIA container toolkit.
FROM python:3.11.13-slim-bookworm AS build
ARG TORCH_INDEX=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/voxelsmith && /opt/voxelsmith/bin/pip install setuptools==84.2.1
COPY constraints.txt /src/
RUN version="$(sed -n 's/^torch==//p' /src/constraints.txt)" \
    && /opt/voxelsmith/bin/pip install -c /src/constraints.txt \
       --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple "torch==$version"
COPY pyproject.toml setup.py README.md LICENSE /src/
COPY contract /src/contract
COPY service /src/service
COPY workers /src/workers
COPY jobs /src/jobs
COPY latents /src/latents
COPY volumes /src/volumes
COPY model_store /src/model_store
COPY training /src/training
COPY evaluation /src/evaluation
COPY voxelsmith /src/voxelsmith
# The page is the API's.
RUN WITHOUT_PAGE=1 /opt/voxelsmith/bin/pip install --no-build-isolation -c /src/constraints.txt '/src[worker,onnx]'

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin voxelsmith \
    && install -d -o voxelsmith -g voxelsmith -m 0700 /var/lib/voxelsmith /var/lib/voxelsmith/store \
       /var/cache/voxelsmith /var/cache/voxelsmith/models \
    && install -d -m 0755 /models
COPY --from=build /opt/voxelsmith /opt/voxelsmith
ENV PATH=/opt/voxelsmith/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility VOXELSMITH_DEVICE=all \
    VOXELSMITH_MODEL_CACHE=/var/cache/voxelsmith/models
USER 10001:10001
# Whether a worker of this container shows signs of life in the queue. Workers that hang or die are the supervisor's to
# replace; the container ends where none can work.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-P", "-m", "workers.health_check"]
ENTRYPOINT ["voxelsmith"]
CMD ["worker"]
