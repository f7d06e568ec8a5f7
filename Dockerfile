# The image of all processes: `docker run ecgstream monitor`, `alerting`, `serve`, `simulate`, `topics create`.
# It runs as an unprivileged user and writes nowhere but /tmp, so it can run with a read-only file system.

FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /build
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/ecgstream
COPY pyproject.toml uv.lock README.md LICENSE ./
# The dependencies in a layer of their own: they change less often than the code.
RUN uv sync --frozen --no-dev --no-install-project --extra console --extra notify --extra sim
COPY models models
COPY src src
RUN uv sync --frozen --no-dev --no-editable --extra console --extra notify --extra sim

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ecgstream
COPY --from=build /opt/ecgstream /opt/ecgstream
# Compiled kernels are cached in /tmp; everything else stays as it was built.
ENV PATH=/opt/ecgstream/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 \
    HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
ENTRYPOINT ["ecgstream"]
CMD ["--help"]
