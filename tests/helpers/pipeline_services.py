"""Loopback services that the real clients of Vertex AI and Kubeflow Pipelines talk to.

They answer what those clients ask for (jobs and schedules of Vertex' REST interface; runs,
experiments and recurring runs of KFP's v2beta1), refuse what the services refuse, and run the tasks
of a job as processes (spec_runner.py).
"""

import contextlib
import datetime
import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from spec_runner import SpecRunner


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def body(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return json.loads(raw) if raw[:1] == b"{" else {}

    def reply(self, content, status=200):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class VertexHandler(_Handler):
    """Vertex' PipelineService and ScheduleService, REST."""

    def error(self, status, code, message):
        self.reply({"error": {"code": status, "status": code, "message": message}}, status)

    def do_POST(self):
        from google.cloud import aiplatform_v1
        from google.protobuf import json_format

        url, body = urlparse(self.path), self.body()
        kind = url.path.rsplit("/", 1)[-1]
        parent = url.path.removeprefix("/v1/").rsplit("/", 1)[0]
        if kind == "schedules":
            made = {**body, "name": f"{parent}/schedules/{uuid.uuid4().hex}", "state": "ACTIVE"}
            self.server.schedules.append(made)
            return self.reply(made)
        try:
            # The service's own message: what it has no field for is refused.
            message = json_format.ParseDict(body, aiplatform_v1.PipelineJob()._pb)
        except json_format.ParseError as error:
            return self.error(400, "INVALID_ARGUMENT", str(error))
        job = json_format.MessageToDict(message)
        name = f"{parent}/pipelineJobs/{parse_qs(url.query)['pipelineJobId'][0]}"
        if not job["runtimeConfig"].get("gcsOutputDirectory", "").startswith("gs://"):
            return self.error(400, "INVALID_ARGUMENT", "gcs_output_directory is no bucket")
        with self.server.lock:
            if name in self.server.jobs:
                return self.error(409, "ALREADY_EXISTS", name)
            job |= {"name": name, "createTime": now()}
            runner = SpecRunner(
                job["pipelineSpec"],
                job["runtimeConfig"]["gcsOutputDirectory"],
                self.server.folder,
                job["runtimeConfig"].get("parameterValues", {}),
            )
            self.server.jobs[name] = (job, self.server.start_run(runner))
        return self.reply(self.told(name))

    def do_GET(self):
        name = urlparse(self.path).path.removeprefix("/v1/")
        if name not in self.server.jobs:
            return self.error(404, "NOT_FOUND", name)
        return self.reply(self.told(name))

    def told(self, name):
        job, run = self.server.jobs[name]
        # Before its tasks: a run that has ended has no task under way.
        state = f"PIPELINE_STATE_{run.state}"
        tasks = [
            {
                "taskId": str(number),
                "taskName": task,
                "state": state,
                **({"error": {"code": 9, "message": run.logs[task]}} if state == "FAILED" else {}),
            }
            for number, (task, state) in enumerate(list(run.states.items()))
        ]
        return {**job, "state": state, "jobDetail": {"taskDetails": tasks}}


class KubeflowHandler(_Handler):
    """KFP's API, v2beta1."""

    def allowed(self):
        wanted = self.server.token
        if not wanted or self.headers.get("authorization") == f"Bearer {wanted}":
            return True
        self.reply({"code": 16, "message": "Unauthenticated request"}, 401)
        return False

    def do_GET(self):
        if not self.allowed():
            return None
        url = urlparse(self.path)
        path = url.path.removeprefix("/apis/v2beta1/")
        if path == "healthz":
            return self.reply({"multi_user": False})
        if path == "experiments":
            return self.reply({"experiments": list(self.server.experiments.values())})
        if path == "runs":
            asked = json.loads(parse_qs(url.query).get("filter", ["{}"])[0])
            names = {one["stringValue"] for one in asked.get("predicates", ())}
            found = [
                self.told(key)
                for key, (run, _) in self.server.jobs.items()
                if not names or run["display_name"] in names
            ]
            return self.reply({"runs": found, "total_size": len(found)})
        if match := re.fullmatch(r"(runs|experiments)/([^/]+)", path):
            kind, key = match.groups()
            if kind == "experiments" and key in self.server.experiments:
                return self.reply(self.server.experiments[key])
            if key in self.server.jobs:
                return self.reply(self.told(key))
        return self.reply({"code": 5, "message": f"{path} not found"}, 404)

    def do_POST(self):
        body = self.body()
        if not self.allowed():
            return None
        path = urlparse(self.path).path.removeprefix("/apis/v2beta1/")
        key = str(uuid.uuid4())
        if path == "experiments":
            made = {"experiment_id": key, "created_at": now(), **body}
            self.server.experiments[key] = made
            return self.reply(made)
        if path == "recurringruns":
            made = {"recurring_run_id": key, "status": "ENABLED", **body}
            self.server.schedules.append(made)
            return self.reply(made)
        spec = body["pipeline_spec"]
        given = body.get("runtime_config", {})
        runner = SpecRunner(
            spec.get("pipeline_spec", spec),
            given.get("pipeline_root", ""),
            self.server.folder,
            given.get("parameters", {}),
        )
        with self.server.lock:
            run = {"run_id": key, "created_at": now(), **body}
            self.server.jobs[key] = (run, self.server.start_run(runner))
        return self.reply(self.told(key))

    def told(self, key):
        made, run = self.server.jobs[key]
        state = run.state
        tasks = [
            {
                "task_id": task,
                "run_id": key,
                "display_name": task,
                "state": state,
                **({"error": {"code": 2, "message": run.logs[task]}} if state == "FAILED" else {}),
            }
            for task, state in list(run.states.items())
        ]
        return {**made, "state": state, "run_details": {"task_details": tasks}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler, folder, token):
        super().__init__(("127.0.0.1", 0), handler)
        self.folder, self.token, self.lock = folder, token, threading.Lock()
        self.jobs, self.experiments, self.schedules, self.threads = {}, {}, [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start_run(self, runner):
        """Runs a job's tasks beside the requests; its state is told meanwhile."""
        runner.state = "RUNNING"

        def work():
            try:
                runner.state = "SUCCEEDED" if runner.run() else "FAILED"
            except ValueError as error:
                runner.logs["pipeline"] = str(error)
                runner.state = "FAILED"

        thread = threading.Thread(target=work)
        thread.start()
        self.threads.append(thread)
        return runner


@contextlib.contextmanager
def service(handler, folder, token=""):
    """Serves until the block ends; `jobs` and `schedules` tell what was asked for."""
    server = _Server(handler, folder, token)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        for each in [thread, *server.threads]:
            each.join()
