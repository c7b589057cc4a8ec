# Everything in one image, for one machine: queue, API with the page, workers. From the project's root:
#   docker build -f docker/one.Dockerfile -t voxelsmith:0.1.0 .
# Without a GPU, with a much smaller torch: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
FROM node:24.11.0-bookworm-slim AS page
COPY web /page/web
RUN cd /page/web && npm ci --no-audit --no-fund && npm run build

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
COPY --from=page /page/service/static /src/service/static
COPY workers /src/workers
COPY jobs /src/jobs
COPY latents /src/latents
COPY volumes /src/volumes
COPY model_store /src/model_store
COPY training /src/training
COPY evaluation /src/evaluation
COPY voxelsmith /src/voxelsmith
RUN /opt/voxelsmith/bin/pip install --no-build-isolation -c /src/constraints.txt '/src[worker,onnx]'

FROM python:3.11.13-slim-bookworm
# /data is closed to all but the one who runs it, as the queue's folder has to be; a new volume takes that over.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin voxelsmith \
    && install -d -o voxelsmith -g voxelsmith -m 0700 /data \
    && install -d -m 0755 /models
COPY --from=build /opt/voxelsmith /opt/voxelsmith
ENV PATH=/opt/voxelsmith/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility VOXELSMITH_DEVICE=all \
    VOXELSMITH_MODELS_URL=file:///models
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["voxelsmith"]
CMD ["serve", "--data", "/data"]
