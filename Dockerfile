# One image for both services: it serves the REST backend, and the dashboard where compose.yaml gives it that command.
#
#   docker build -t cifs-lab .                                   PyTorch for the CPU
#   docker build -t cifs-lab --build-arg TORCH_BACKEND=cu130 .   for CUDA 13.0; run it with --gpus all
#
# TORCH_BACKEND takes what `uv pip install --torch-backend` takes: cpu, cu126, cu128, cu130, rocm6.4, …
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ARG TORCH_BACKEND=cpu
ENV UV_TORCH_BACKEND=${TORCH_BACKEND} \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    VIRTUAL_ENV=/opt/venv
RUN pip install --no-cache-dir "uv==0.13.*" && python -m venv --without-pip "$VIRTUAL_ENV"
WORKDIR /app
# The dependencies first: they change rarely, and the code often.
COPY pyproject.toml constraints.txt ./
RUN uv pip install --no-cache --requirements pyproject.toml --constraints constraints.txt
COPY . .
RUN uv pip install --no-cache --no-deps --editable .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --create-home --uid 10001 cifs && install --directory --owner=cifs /data /app/runs
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=cifs:cifs /app /app
# The container runs with a read-only root as well: what it writes at run time goes to /tmp and to the volumes.
ENV PATH=/opt/venv/bin:$PATH \
    CIFS_DATA=/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    STREAMLIT_BROWSER_GATHER_USAGE_STATS=false
USER 10001
EXPOSE 8000 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["cifs", "serve", "--host", "0.0.0.0"]
