"""The compose file before TF Serving: parsed, its mounts there, its flags and metrics ours."""

import json
import re

import pytest
import yaml

from tests.architecture_sheet import ROOT
from tfx_loop.deployment.gateway.counters import Counters
from tfx_loop.deployment.gateway.flags import parse_flags

DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "serving.compose.yaml").read_text())
SERVICES = COMPOSE["services"]
# What compose-spec.json allows of what stands here (github.com/compose-spec/compose-spec).
SERVICE_KEYS = {
    "build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports",
    "restart", "stop_grace_period", "volumes",
}  # fmt: skip


def filled(text):
    """Returns a text with compose's variables set."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "taxi", text)


def test_services_are_written_as_compose_reads_them():
    assert set(COMPOSE) <= {"name", "services", "volumes", "networks"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name
        assert ("image" in service) != ("build" in service), name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} is reached by other machines"


def test_every_file_that_is_mounted_is_there_and_every_volume_declared():
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = re.sub(r"\$\{[^}]*\}", "$", mount).split(":")[0]
            if source.startswith("./"):
                assert (DOCKER / source).is_file(), source
            elif source != "$":
                assert source in COMPOSE["volumes"]
    build = SERVICES["gateway"]["build"]
    assert (DOCKER / build["context"] / build["dockerfile"]).is_file()


def test_the_gateway_s_flags_are_its_own_and_lead_to_tf_serving():
    flags = parse_flags([filled(word) for word in SERVICES["gateway"]["command"]])
    serving = filled(" ".join(SERVICES["serving"]["entrypoint"]))
    assert flags.upstream == ("serving", 8500)
    assert f"--port={flags.upstream[1]}" in serving
    assert f"--rest_api_port={flags.upstream_rest_port}" in serving
    seconds = int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s"))
    assert seconds > flags.drain_seconds


def test_the_image_has_what_the_gateway_imports_in_the_lock_s_versions():
    lock = (ROOT / "requirements.lock").read_text()
    dockerfile = (DOCKER / "gateway.Dockerfile").read_text()
    (names,) = re.findall(r"\^\(([\w|-]+)\)==", dockerfile)
    for name in names.split("|"):
        assert re.search(rf"^{name}==", lock, re.MULTILINE), name


def expressions():
    board = json.loads((DOCKER / "serving/gateway.json").read_text())
    return [(p["title"], target["expr"]) for p in board["panels"] for target in p["targets"]]


@pytest.fixture(scope="module")
def exposed():
    """Names of the samples in /gateway/metrics, with their labels."""
    text = Counters(1).exposition({"rest://a:1": True}).decode()
    found = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return found


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_every_metric_and_label_on_the_board_is_exposed(exposed, title, expression):
    metrics = re.findall(r"\b(loop_gateway_\w+)", expression)
    assert metrics, title
    assert set(metrics) <= set(exposed)
    labels = {label for metric in metrics for label in exposed[metric]}
    asked = re.findall(r"by \(([^)]*)\)", expression)
    used = {label.strip() for group in asked for label in group.split(",")}
    used |= set(re.findall(r"\{(\w+)=", expression))
    assert used <= labels


def test_prometheus_asks_for_the_paths_that_are_served():
    scraped = yaml.safe_load((DOCKER / "serving/prometheus.yml").read_text())["scrape_configs"]
    paths = {job["job_name"]: job["metrics_path"] for job in scraped}
    config = (DOCKER / "serving/monitoring.config").read_text()
    assert paths["gateway"] == "/gateway/metrics"
    assert f'path: "{paths["serving"]}"' in config
    for job in scraped:
        for target in job["static_configs"][0]["targets"]:
            assert target.split(":")[0] in SERVICES
    sources = yaml.safe_load((DOCKER / "serving/datasources.yml").read_text())["datasources"]
    board = json.loads((DOCKER / "serving/gateway.json").read_text())
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {sources[0]["uid"]}


def test_every_metric_of_the_page_is_exposed(exposed):
    page = (ROOT / "docs/gateway.md").read_text()
    named = set(re.findall(r"`(loop_gateway_\w+)`", page))
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in exposed}
    assert named <= families
    assert families <= named
