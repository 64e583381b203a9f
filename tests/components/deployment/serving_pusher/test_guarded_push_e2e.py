"""A pipeline that pushes to a server with all guards on; no secret is left anywhere."""

import base64
import json
import logging
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from certificates import Authority, write_key
from log_rows import words_in
from server_process import ServerProcess
from time_limits import seconds
from tiny_serving_model import save_tiny_model

from tfx_loop.deployment.server_access.credentials import Credentials
from tfx_loop.models.signing.signer import Trust, model_statement
from tfx_loop.pipelines.cli.main import main

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.slow]

COLUMNS = {"hour": [1, 20, 7], "delay": [1.5, -3.0, 0.0], "origin": ["JFK", "LGA", "EWR"]}
TOKENS = ("tok-of-the-pusher", "tok-of-the-admin")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Secrets in a folder of their own, all that is written in another, and a server."""
    from tfx_loop.data.span_example_gen.executor import write_examples

    secrets, written = (tmp_path_factory.mktemp(name) for name in ("secrets", "written"))
    authority = Authority(secrets)
    server, client = (authority.issue(kind, kind) for kind in ("server", "client"))
    write_key(secrets / "signing.key")
    (secrets / "tokens").write_text(f"pusher {TOKENS[0]}\n")
    (secrets / "admins").write_text(f"admin {TOKENS[1]}\n")
    save_tiny_model(written / "model" / "Format-Serving")
    write_examples(f"{written}/examples/Split-eval", pa.table(COLUMNS))
    (written / "base").mkdir()
    running = ServerProcess(
        written / "base",
        written,
        written / "log",
        tls_certificate=server.certificate,
        tls_key=server.key,
        tls_client_ca=authority.certificate,
        token_file=secrets / "tokens",
        admin_token_file=secrets / "admins",
        requests_per_second=1000,
        public_key=secrets / "signing.pub",
    )
    # Its arguments and environment are looked at: they have to be its own.
    running.forked = False
    running.start()
    yield SimpleNamespace(
        server=running, secrets=secrets, written=written, authority=authority, client=client
    )
    running.stop()


def credentials(place):
    return {
        "token_file": str(place.secrets / "tokens"),
        "ca_file": str(place.authority.certificate),
        "client_certificate": str(place.client.certificate),
        "client_key": str(place.client.key),
    }


def push(place, run_id, **settings):
    """Runs a pipeline that imports model and examples, and pushes."""
    from tfx.dsl.components.common.importer import Importer
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.deployment.serving_pusher.component import ServingPusher

    written = place.written
    splits = artifact_utils.encode_split_names(["eval"])
    model = Importer(f"{written}/model", standard_artifacts.Model).with_id("model")
    examples = Importer(
        f"{written}/examples", standard_artifacts.Examples, properties={"split_names": splits}
    ).with_id("examples")
    pusher = ServingPusher(
        model=model.outputs["result"],
        examples=examples.outputs["result"],
        model_name="flights",
        base_path=str(written / "base"),
        server_url=place.server.url,
        golden_rows=2,
        load_timeout_seconds=int(seconds(20)),
        **settings,
    )
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name=f"push-{run_id}",
            pipeline_root=str(written / "root"),
            components=[model, examples, pusher],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(written / "metadata.sqlite")
            ),
        )
    )


def provenance(place):
    """Writes the provenance of version 1, and returns where."""
    store, key = place.written / "metadata.sqlite", place.secrets / "signing.key"
    arguments = [f"--metadata={store}", "--model=flights", f"--key={key}"]
    assert main(["provenance", "1", *arguments]) == 0
    return place.written / "base" / "1.provenance.json"


def subject_of(folder):
    return model_statement(folder)["subject"][0]["digest"]


def states(place):
    shown = credentials(place)
    client = place.server.client(
        credentials=Credentials(
            token_file=shown["token_file"],
            ca_file=shown["ca_file"],
            certificate=shown["client_certificate"],
            key=shown["client_key"],
        )
    )
    return {status.version: (status.state, status.error) for status in client.status()}


def test_a_signed_push_serves_and_secrets_stay_where_they_are(place, caplog):
    caplog.set_level(logging.DEBUG)
    key = str(place.secrets / "signing.key")
    push(place, "signed", **credentials(place), signing_key=key, code_revision="3f9a")
    assert states(place)[1] == ("AVAILABLE", "")
    assert (place.written / "base" / "1" / "model.sig").exists()

    signed_by = Trust.read(place.secrets / "signing.pub")
    written = provenance(place)
    assert signed_by.check(written)
    statement = json.loads(written.read_bytes())
    assert statement["subject"][0]["digest"] == subject_of(place.written / "base" / "1")
    build = statement["predicate"]["buildDefinition"]
    assert build["internalParameters"]["ServingPusher"]["golden_rows"] == 2
    code = [d["annotations"] for d in build["resolvedDependencies"] if d["name"] == "code"]
    assert {"node": "ServingPusher", "code_revision": "3f9a"} in code
    # What stands beside it changes nothing of the version.
    assert signed_by.check(place.written / "base" / "1")

    with pytest.raises(Exception, match="Expected a signature"):
        push(place, "unsigned", **credentials(place))
    assert states(place)[1] == ("AVAILABLE", "")

    anonymous = {**credentials(place), "token_file": ""}
    with pytest.raises(Exception, match="401"):
        push(place, "anonymous", **anonymous, signing_key=str(place.secrets / "signing.key"))

    for name, change in {
        "8": lambda f: (f / ".gitignore").write_text("x"),
        "9": lambda f: (f / "saved_model.pb").write_bytes(b"x"),
    }.items():
        shutil.copytree(place.written / "base" / "1", place.written / "staging")
        change(place.written / "staging")
        (place.written / "staging").rename(place.written / "base" / name)
    wait_until_refused(place, 8, ".gitignore was added")
    wait_until_refused(place, 9, "saved_model.pb was changed")

    kept = [place.secrets / name for name in ("tokens", "admins", "signing.key")]
    assert {Path(path) for path, _ in secrets_in(place, kept)} == set(kept)
    assert secrets_in(place) == []
    assert not any(token in caplog.text for token in TOKENS)


def wait_until_refused(place, version, message):
    deadline = time.monotonic() + seconds(20)
    while time.monotonic() < deadline:
        state, error = states(place).get(version, ("", ""))
        if state == "END":
            assert message in error
            return
        time.sleep(0.1)
    raise AssertionError(states(place))


def secrets_in(place, more=()):
    """Returns where a secret stands: written files, more files, the server's arguments."""
    looked_for = [token.encode() for token in TOKENS]
    looked_for += [base64.b64encode(token.encode()).rstrip(b"=") for token in TOKENS]
    for key in place.secrets.glob("*.key"):
        looked_for += key.read_bytes().splitlines()[1:-1]
    places = [*more]
    places += [path for path in place.written.rglob("*") if path.is_file()]
    assert any(path.name == "metadata.sqlite" for path in places)
    assert any(path.suffix == ".arrows" for path in places)
    places += [Path(f"/proc/{place.server.process.pid}/{name}") for name in ("cmdline", "environ")]
    return [
        (str(path), secret)
        for path in places
        for secret in looked_for
        if secret in words_in(path.read_bytes())
    ]
