"""OpenLineage's events: what its specification asks of them, and how they reach a server."""

import json
import re
import threading
import uuid
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from recorder import RecordedRun, open_store, training_nodes

from tfx_loop.core.errors import ConfigError, PipelineFailed, ServerUnavailable
from tfx_loop.core.http_client import check_address, post_all
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.lineage.graph import load
from tfx_loop.pipelines.lineage.openlineage import events

# What the specification 2-0-2 asks of a RunEvent, said in our words.
EVENT_TYPES = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
REQUIRED = {"eventTime", "producer", "schemaURL", "run", "job"}
FACETS = {
    "parent": {"run", "job"},
    "errorMessage": {"message", "programmingLanguage"},
    "jobType": {"processingType", "integration"},
    "version": {"datasetVersion"},
}


def check_event(event) -> None:
    assert set(event) >= REQUIRED
    assert set(event) <= REQUIRED | {"eventType", "inputs", "outputs"}
    assert event["eventType"] in EVENT_TYPES
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    uuid.UUID(event["run"]["runId"])
    check_named(event["job"])
    for dataset in (*event["inputs"], *event["outputs"]):
        assert set(dataset) == {"namespace", "name", "facets"}
        check_named(dataset)
    check_facets(event["run"]["facets"])
    assert (event["eventType"] == "FAIL") == ("errorMessage" in event["run"]["facets"])
    assert urlsplit(event["producer"]).scheme, "the specification asks for a URI"
    assert event["schemaURL"].startswith("https://")


def check_named(thing) -> None:
    assert all(isinstance(thing[key], str) and thing[key] for key in ("namespace", "name"))
    check_facets(thing["facets"])


def check_facets(facets) -> None:
    for name, facet in facets.items():
        assert urlsplit(facet["_producer"]).scheme, "the specification asks for a URI"
        schema = r"https://openlineage\.io/spec/facets/\d+-\d+-\d+/(\w+)\.json#/\$defs/(\w+)"
        found = re.fullmatch(schema, facet["_schemaURL"])
        assert found is not None
        assert found[1] == found[2]
        assert found[1].lower().startswith(name.lower().replace("version", "datasetversion"))
        assert set(facet) - {"_producer", "_schemaURL"} >= FACETS[name]
    if "parent" in facets:
        uuid.UUID(facets["parent"]["run"]["runId"])
        assert set(facets["parent"]["job"]) == {"namespace", "name"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A training that ended well, and one whose trainer failed."""
    folder = tmp_path_factory.mktemp("events")
    path = folder / "metadata.sqlite"
    made = open_store(path)
    RecordedRun(made, "train", "first", folder / "1").run(training_nodes(1))

    def fails():
        raise PipelineFailed("the disk is full")

    with pytest.raises(PipelineFailed):
        RecordedRun(made, "train", "second", folder / "2").run(training_nodes(2, work=fails))
    return str(path)


def found(store, **more):
    return list(events(load(open_store(store)), "here", **more))


def test_events_are_what_the_specification_asks(store) -> None:
    told = found(store)
    assert {event["eventType"] for event in told} == {"START", "COMPLETE", "FAIL"}
    for event in told:
        check_event(event)


def test_each_run_starts_and_ends_once_with_its_data(store) -> None:
    told = [(e["job"]["name"], e["eventType"]) for e in found(store)]
    # Four nodes of the first run; of the second the generator and a trainer that fails.
    assert told.count(("Trainer", "START")) == 2
    assert told.count(("Trainer", "COMPLETE")) == told.count(("Trainer", "FAIL")) == 1
    assert len(told) == 2 * (4 + 2)
    ended = [e for e in found(store) if e["eventType"] == "COMPLETE"]
    (trainer,) = (e for e in ended if e["job"]["name"] == "Trainer")
    made = [e["outputs"] for e in ended if e["job"]["name"] == "SpanExampleGen"]
    assert trainer["inputs"] in made
    (failure,) = (e for e in found(store) if e["eventType"] == "FAIL")
    assert failure["run"]["facets"]["parent"]["job"]["name"] == "second"


def test_what_is_sent_again_is_the_same(store) -> None:
    assert found(store) == found(store)
    last = max(e["eventTime"] for e in found(store))
    since = int(datetime.fromisoformat(last).timestamp() * 1000)
    assert 0 < len(found(store, since_ms=since)) < len(found(store))


class _Catalogue(ThreadingHTTPServer):
    """Takes events; the first requests are answered by the given statuses."""

    def __init__(self, statuses=()):
        self.statuses, self.taken, self.tokens = list(statuses), [], set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.statuses.pop(0) if outer.statuses else 201
                if status == 201:
                    outer.taken.append(json.loads(body))
                outer.tokens.add(self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/api/v1/lineage"


@pytest.fixture
def catalogue(request):
    server = _Catalogue(getattr(request, "param", ()))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("catalogue", [[503, 429]], indirect=True)
def test_events_are_posted_in_order_and_tried_again(store, catalogue, tmp_path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    words = ["openlineage", "--metadata", store, "--url", catalogue.url, "--namespace", "here"]
    assert main.main([*words, "--token-file", str(token)]) == 0
    assert catalogue.taken == found(store)
    assert catalogue.tokens == {"Bearer secret"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("catalogue", "requests"), [([500] * 9, 4), ([400] * 9, 1), ([302] * 9, 1)],
    indirect=["catalogue"],
)  # fmt: skip
def test_server_that_refuses_is_given_up(catalogue, requests) -> None:
    with pytest.raises(ServerUnavailable, match="0 were taken"):
        post_all(catalogue.url, [{"a": 1}, {"b": 2}], sleep=lambda _: None)
    assert len(catalogue.statuses) == 9 - requests


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "http://example.org/x", "https://", "https://u:hunter2@h/x", "x"]
)
def test_url_that_is_not_posted_to_is_refused(url) -> None:
    with pytest.raises(ConfigError, match="Expected an https") as refusal:
        check_address(url)
    assert "hunter2" not in str(refusal.value)


def test_file_holds_one_event_a_line(store, tmp_path) -> None:
    out = tmp_path / "events.ndjson"
    words = ["openlineage", "--metadata", store, "--out", str(out), "--namespace", "here"]
    assert main.main(words) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == found(store)
