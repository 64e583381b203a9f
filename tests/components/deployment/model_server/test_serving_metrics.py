"""Metrics as Prometheus reads them."""

from tfx_loop.deployment.model_server.serving_metrics import REQUEST_COUNT, ServingMetrics


def test_counters_add_up_by_their_labels():
    metrics = ServingMetrics()
    for status in ("OK", "OK", "NOT_FOUND"):
        metrics.request("m", status, api="predict", entrypoint="REST", seconds=0.00001)
    text = metrics.text().decode()
    assert f'{REQUEST_COUNT}{{model_name="m",status="OK"}} 2\n' in text
    assert f'{REQUEST_COUNT}{{model_name="m",status="NOT_FOUND"}} 1\n' in text


def test_buckets_are_cumulative_and_end_with_all():
    metrics = ServingMetrics()
    for microseconds in (5, 17, 1e12):
        metrics.request("m", "OK", api="p", entrypoint="R", seconds=microseconds / 1e6)
    lines = metrics.text().decode().splitlines()
    buckets = [ln for ln in lines if ln.startswith(":tensorflow:serving:request_latency_bucket")]
    assert [int(line.split()[-1]) for line in (*buckets[:3], *buckets[-2:])] == [1, 2, 2, 2, 3]
    assert 'le="18"' in buckets[1]
    assert 'le="+Inf"' in buckets[-1]


def test_labels_cannot_break_a_line():
    metrics = ServingMetrics()
    metrics.loaded('a"b\n\\c', "success", 1.0)
    assert 'model_path="a\\"b\\n\\\\c"' in metrics.text().decode()


def test_series_are_bounded():
    metrics = ServingMetrics()
    for number in range(3000):
        metrics.count(REQUEST_COUNT, model_name=str(number))
    assert metrics.text().count(b"model_name=") == 1000
