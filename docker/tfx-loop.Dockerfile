# tfx-loop with TFX and without a compiler: the image of nodes on Kubeflow Pipelines and Vertex AI, and
# of `loop watch`. `make image` builds it, and prints its size and digest.
#
# BASE decides the lane: a Python 3.11 to 3.13 with glibc 2.39 takes TFX 1.21 (debian:trixie-slim), one
# of 3.10 takes TFX 1.16 (python:3.10-slim-bookworm).
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The packages before the code: a change of code alone needs no new environment.
COPY scripts/uv.txt scripts/uv.txt
COPY requirements.lock pyproject.toml README.md LICENSE MANIFEST.in ./
RUN python3 -m venv /uv && /uv/bin/pip install --quiet --no-cache-dir --require-hashes -r scripts/uv.txt \
 && /uv/bin/uv venv --quiet --python "$(command -v python3)" /opt/loop
# Of the lock what nodes need: no tests, no examples' data.
COPY docker/image_requirements.py docker/image_requirements.py
RUN /uv/bin/python docker/image_requirements.py > /tmp/requirements.in \
 && /uv/bin/uv pip install --quiet --no-cache --python /opt/loop --compile-bytecode \
      --constraint requirements.lock --requirement /tmp/requirements.in setuptools
COPY components components
COPY pipelines pipelines
COPY src src
RUN /uv/bin/uv pip install --quiet --no-cache --python /opt/loop --compile-bytecode --no-deps \
      --no-build-isolation . \
 # What only a compiler reads.
 && rm -rf /opt/loop/lib/python3.*/site-packages/tensorflow/include \
 && find /opt/loop -name '*.a' -delete

FROM ${BASE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home loop \
 # Into these KFP's launcher copies what lies in buckets.
 && install -d -o loop /gcs /minio /s3 /loop
COPY --from=build /opt/loop /opt/loop
# TFX needs Keras 2, and bytecode was compiled when the image was built.
ENV PATH=/opt/loop/bin:$PATH TF_USE_LEGACY_KERAS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER loop
WORKDIR /loop
# The services name a command of their own.
CMD ["loop", "--help"]
