# TFX 1.21 on the Python of Debian 13: all tests, or the command that is given.
# scripts/lane_b builds and runs it (`make test-lane-b`).
FROM debian:trixie-slim

# chromium is for the tests of pages, g++ and python3-dev for the one package that is compiled.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates chromium g++ git make python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*

# The packages before the code: a change of code alone needs no new environment.
WORKDIR /tfx-loop
COPY LICENSE Makefile README.md pyproject.toml requirements.lock ./
COPY scripts scripts
# Links to the code that is copied below; the editable install needs the folder alone.
COPY src src
RUN make setup && rm -rf .tools/cache
COPY . .

CMD ["make", "test"]
