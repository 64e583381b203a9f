# loop-gateway alone: what it imports and no TensorFlow. Build from the checkout:
#   docker build -f docker/gateway.Dockerfile -t tfx-loop-gateway .
FROM python:3.10-slim-bookworm

WORKDIR /src
COPY pyproject.toml README.md LICENSE MANIFEST.in requirements.lock ./
COPY components components
COPY pipelines pipelines
COPY src src
# The versions of the lock, of these packages alone: the rest is for training and evaluation.
RUN grep -E '^(cffi|cryptography|hpack|httptools|numpy|prometheus-client|psutil|pyarrow|pycparser|uvloop)==' requirements.lock \
      | grep -v "python_full_version >= '3.11'" | sed 's/ *\\$//' > /tmp/gateway.txt \
 && pip install --no-cache-dir -r /tmp/gateway.txt \
 && pip install --no-cache-dir --no-deps .

RUN useradd --uid 10001 loop && install -d -o loop /calls
USER loop
EXPOSE 8500 8501
ENTRYPOINT ["loop-gateway"]
