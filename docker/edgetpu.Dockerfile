# The Edge TPU compiler, installed as coral.ai/docs/edgetpu/compiler says.
#
#   docker build --platform linux/amd64 -t edgetpu-compiler -f docker/edgetpu.Dockerfile docker
#   EdgeTPUCompiler(..., container_image="edgetpu-compiler")
#
# Not built by our tests: they have no access to Coral's package repository. What is tested is how
# the container is started: no network, a read-only root, no capabilities, limits on memory and
# processes, one folder mounted, and removal when its time is up.
#
# The compiler is a closed binary for x86-64 that brings its own libraries, so the base matters
# little; bookworm's apt still accepts the repository's older signatures.
FROM debian:bookworm-slim

ARG COMPILER_VERSION=16.0

RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl gnupg \
 && curl --fail --silent --show-error --location \
      https://packages.cloud.google.com/apt/doc/apt-key.gpg \
    | gpg --dearmor --output /usr/share/keyrings/coral-edgetpu.gpg \
 && echo "deb [arch=amd64 signed-by=/usr/share/keyrings/coral-edgetpu.gpg] https://packages.cloud.google.com/apt coral-edgetpu-stable main" \
      > /etc/apt/sources.list.d/coral-edgetpu.list \
 && apt-get update \
 && apt-get install --yes --no-install-recommends "edgetpu-compiler=${COMPILER_VERSION}*" \
 && apt-get purge --yes --auto-remove curl gnupg \
 && rm -rf /var/lib/apt/lists/* \
 && edgetpu_compiler --version

RUN useradd --create-home --uid 10001 compiler
USER compiler
WORKDIR /work
CMD ["edgetpu_compiler", "--help"]
