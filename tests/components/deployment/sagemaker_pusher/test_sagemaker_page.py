"""docs/sagemaker.md as a reader walks through it: its commands, against the loopback."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from documents import DOCUMENTS, fences
from endpoint_desk import EndpointDesk
from sagemaker_loopback import REGION, sagemaker_loopback

from tfx_loop.pipelines.cli import main

pytestmark = pytest.mark.slow

PAGE = DOCUMENTS["docs/sagemaker.md"]
REPORTS = Path(__file__).resolve().parents[3] / "components/contracts/recorded"
# Commands with arguments: those without are spoken of, and not to be typed.
_QUOTED = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
SHOWN = sorted({" ".join(one.split()) for one in _QUOTED if re.match(r"loop \S+\s+\S", one)})


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Two versions at the page's endpoint, and what clients asked it."""
    folder = tmp_path_factory.mktemp("reader")
    with sagemaker_loopback("models") as service:
        desk = EndpointDesk(service, "models", "taxi", folder)
        for content in ("m1", "m2"):
            desk.push(content)
        service.capture_at(1_795_996_800_000)
        for number in range(12):
            body = json.dumps({"instances": [{"fare": float(number + n)} for n in range(10)]})
            service.runtime.invoke_endpoint(
                EndpointName="taxi",
                Body=body.encode(),
                ContentType="application/json",
                InferenceId=f"trip-{number}",
            )
        pq.write_table(
            pa.table({"fare": [float(n % 20) for n in range(120)]}), folder / "january.parquet"
        )
        (folder / "reports").mkdir()
        shutil.copy(REPORTS / "drift_report.json", folder / "reports")
        yield folder


def typed(command, folder):
    """Returns the words of a command with the reader's files, region and versions."""
    mine = {
        "january.parquet": str(folder / "january.parquet"),
        "FOLDER...": str(folder / "reports"),
        "eu-west-1": REGION,
        "6": "1",
    }
    return [mine.get(word, word) for word in command.split()[1:]]


@pytest.mark.parametrize("command", SHOWN)
def test_command_of_the_page_is_one_of_loop(command):
    words = command.replace("...", "").split()[1:]
    main._parser().parse_args(words)


def shown(name):
    (command,) = [one for one in SHOWN if one.startswith(f"loop {name} ") and "s3://" in one]
    return command


@pytest.mark.long
def test_reader_sees_what_serves_rolls_back_and_compares(reader, capsys):
    assert main.main(typed(shown("status"), reader)) == 0
    assert "InService with config taxi-2-" in capsys.readouterr().out
    assert main.main(typed(shown("rollback"), reader)) == 0
    capsys.readouterr()
    assert main.main([*typed(shown("status"), reader), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stable"], told["live"]["disagreement"]) == (1, "")
    assert main.main([*typed(shown("monitor"), reader), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == {"reference": 120, "current": 120}
    assert [entry["feature"] for entry in report["features"]] == ["fare"]


@pytest.mark.long
def test_reader_sends_the_gauges_that_alarms_watch(reader, capsys):
    (command,) = [one for one in SHOWN if one.startswith("loop metrics ")]
    assert main.main(typed(command, reader)) == 0
    assert f"metrics sent to tfx-loop in {REGION}" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.tensorflow
def test_code_of_the_page_makes_its_nodes():
    from tfx.types import channel, standard_artifacts

    import tfx_loop

    class Upstream:
        def __init__(self, **kinds):
            self.outputs = {name: channel.OutputChannel(*one) for name, one in kinds.items()}

    def of(name, kind):
        return Upstream(**{name: (kind, None, name)})

    names = {
        "tfx_loop": tfx_loop,
        "trainer": of("model", standard_artifacts.Model),
        "evaluator": of("blessing", standard_artifacts.ModelBlessing),
        "example_gen": of("examples", standard_artifacts.Examples),
    }
    blocks = fences(PAGE, "python")
    for block in blocks:
        exec(compile(block, "docs/sagemaker.md", "exec"), names)  # noqa: S102
    assert names["pusher"].exec_properties["endpoint"] == "taxi"
    assert json.loads(names["log"].exec_properties["capture"])["variants"] == ["AllTraffic"]
