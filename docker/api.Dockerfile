# The API: no torch, no GPU. From the project's root:
#   docker build -f docker/api.Dockerfile -t voxelsmith-api:0.1.0 .
FROM node:24.11.0-bookworm-slim AS page
COPY web /page/web
RUN cd /page/web && npm ci --no-audit --no-fund && npm run build

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/voxelsmith && /opt/voxelsmith/bin/pip install setuptools==84.2.1
COPY constraints.txt pyproject.toml setup.py README.md LICENSE /src/
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
RUN /opt/voxelsmith/bin/pip install --no-build-isolation -c /src/constraints.txt /src

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin voxelsmith \
    && install -d -o voxelsmith -g voxelsmith -m 0700 /var/lib/voxelsmith /var/lib/voxelsmith/store \
    && install -d -m 0755 /models
COPY --from=build /opt/voxelsmith /opt/voxelsmith
ENV PATH=/opt/voxelsmith/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    VOXELSMITH_HOST=0.0.0.0 VOXELSMITH_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["voxelsmith"]
CMD ["api"]
