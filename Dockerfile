# syntax=docker/dockerfile:1
# docker build --target serve .      the service, with the weights of service/weights
# docker build --target training .   the same and what `python -m training` needs
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS venv
# An extra index: its +cpu builds of PyTorch sort above the CUDA builds of the same version, which weigh
# gigabytes. Empty it to get the CUDA builds.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
ENV PIP_CONSTRAINT=/app/constraints.txt PIP_EXTRA_INDEX_URL=${TORCH_INDEX_URL}
WORKDIR /app
RUN python3 -m venv /venv
ENV PATH=/venv/bin:$PATH
# Dependencies change less often than code, so they have a layer of their own: this installs what setup.cfg
# asks for, around empty packages. The code is copied into the last stage. What sends traces is imported only
# where they are asked for, and a setting is enough to do so.
COPY setup.cfg pyproject.toml constraints.txt ./
COPY service/__init__.py service/
RUN mkdir training && touch training/__init__.py README.md \
    && pip install '.[otel]' \
    && pip uninstall --yes rust-ml-api

FROM venv AS venv-training
RUN pip install '.[training]' \
    && pip uninstall --yes rust-ml-api pip

FROM venv AS venv-serve
# Compilers' headers, test programs, test suites and the installer: nothing that a request ever reads.
RUN pip uninstall --yes pip \
    && cd /venv/lib/python*/site-packages \
    && rm -rf torch/include torch/share \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +

FROM venv-serve AS sbom
# What the image is made of (CycloneDX), told by a tool that is not in it.
RUN python -m venv /tools \
    && /tools/bin/pip install cyclonedx-bom \
    && /tools/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.json /venv/bin/python

# What both images share: an unprivileged user and a Python that never writes.
FROM ${BASE_IMAGE} AS base
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /app

FROM base AS training
COPY --from=venv-training /venv /venv
COPY training/ training/
RUN python -m compileall -q -x torch/testing/_internal --invalidation-mode unchecked-hash /venv/lib /app
USER 10001:10001
WORKDIR /tmp
ENV PYTHONPATH=/app
CMD ["python", "-m", "training", "--help"]

FROM base AS serve
COPY --from=venv-serve /venv /venv
COPY --from=sbom /sbom.json ./
COPY service/ service/
# Compiled here, because the root file system is read-only when it runs.
RUN python -m compileall -q -x torch/testing/_internal --invalidation-mode unchecked-hash /venv/lib /app
USER 10001:10001
EXPOSE 3000
CMD ["python", "-m", "service"]
