"""`tfx_loop.monitor` compares the tables of a program as the command compares files."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from monitored_files import entry_of, frame, monitored, save

import tfx_loop
from tfx_loop.core.errors import ConfigError, DataError

MOVED = {"temperature": lambda content: content["temperature"] + 4}


@pytest.mark.slow
def test_tables_are_compared_as_files_of_them_are(capsys, tmp_path):
    tables = frame(0), frame(1).assign(**MOVED)
    status, told = monitored(
        capsys, *(save(t, tmp_path, n) for t, n in zip(tables, "ab", strict=True)), "--by", "plan"
    )  # fmt: skip
    report = tfx_loop.monitor(*tables, by="plan")
    said = json.loads(json.dumps(report.to_dict()))
    assert said.pop("window") == "the current table"
    told.pop("window")
    assert (said, report.alarm) == (told, status == 3)
    assert report.verdict == "DRIFT"
    assert report.explanation == told["explanation"]
    assert report.features[0].feature == "temperature"
    mean = tables[1]["temperature"].mean()
    assert report.changes["temperature"].current.mean == pytest.approx(mean)


KINDS = {
    "arrow": lambda content: pa.Table.from_pandas(content, preserve_index=False),
    "batch": lambda content: pa.RecordBatch.from_pandas(content, preserve_index=False),
    "reader": lambda content: pa.Table.from_pandas(content, preserve_index=False).to_reader(500),
    "mapping": lambda content: {name: pa.array(content[name]) for name in content},
    "polars": lambda content: pytest.importorskip("polars").from_pandas(content),
    "duckdb": lambda content: pytest.importorskip("duckdb").from_df(content),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_hands_its_rows_over_as_arrow_is_read(kind):
    tables = frame(0), frame(1).assign(**MOVED)
    plain = tfx_loop.monitor(*tables)
    report = tfx_loop.monitor(*map(KINDS[kind], tables))
    assert {f.feature: (f.type, f.psi) for f in report.features} == {
        f.feature: (f.type, f.psi) for f in plain.features
    }


def test_paths_and_tables_may_stand_beside_each_other(tmp_path):
    reference = save(frame(0), tmp_path, "a")
    assert tfx_loop.monitor(tmp_path / "a.parquet", frame(1)).verdict == "STABLE"
    assert tfx_loop.monitor(reference, frame(1)).verdict == "STABLE"


def test_categoricals_and_nullable_columns_are_what_they_hold():
    content = frame(0).astype({"plan": "category", "age": "Int64", "city": "string"})
    kinds = {f.feature: f.type for f in tfx_loop.monitor(content, content).features}
    assert (kinds["plan"], kinds["age"], kinds["city"]) == (
        "categorical", "integer", "categorical",
    )  # fmt: skip


def test_a_notebook_shows_the_page_in_a_frame(tmp_path):
    report = tfx_loop.monitor(frame(0), frame(1).assign(**MOVED))
    shown = report._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<style" not in shown
    assert "&lt;style" in shown
    report.save_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "the current table against the reference" in page
    assert repr(report).startswith("<MonitorReport DRIFT: 1 of 7 features drifted: temperature;")
    assert str(report).splitlines()[0].startswith("DRIFT: 1 of 7 features drifted: temperature")


@pytest.mark.slow
def test_settings_are_those_of_the_command(tmp_path):
    tables = frame(0), frame(1).assign(**MOVED)
    ignored = tfx_loop.monitor(*tables, ignore=["temperature"], ids=["age"])
    kinds = {f.feature: f.type for f in ignored.features}
    assert (ignored.verdict, kinds["age"]) == ("STABLE", "identifier")
    thresholds = {"temperature": {"psi_floor": 3.0}}
    assert tfx_loop.monitor(*tables, thresholds=thresholds).verdict == "STABLE"
    (tmp_path / "monitor.toml").write_text("[columns]\ntemperature = 'ignore'\n")
    config = tmp_path / "monitor.toml"
    assert tfx_loop.monitor(*tables, config=config).verdict == "STABLE"
    assert tfx_loop.monitor(*tables, config=config, numeric=["temperature"]).alarm
    chunks = tfx_loop.monitor(*tables, every=500, k_of_n=(2, 3), q=0.01).chunks
    assert [chunk.verdict.value for chunk in chunks] == ["STABLE", "DRIFT", "DRIFT"]


def test_what_is_no_table_is_told():
    with pytest.raises(DataError, match="a table as the reference, received int: it is no table"):
        tfx_loop.monitor(3, frame(0))
    strange = {"x": [1, 2, 3], "y": [1, 2]}
    with pytest.raises(DataError, match="a table as the current table, received dict"):
        tfx_loop.monitor(frame(0), strange)
    twice = pd.DataFrame(np.zeros((3, 2)), columns=["x", "x"])
    with pytest.raises(DataError):
        tfx_loop.monitor(twice, twice)
    with pytest.raises(ConfigError, match="every must be"):
        tfx_loop.monitor(frame(0), frame(0), every="month")
    for column in (frame(0)["price"], pa.array([1, 2])):
        with pytest.raises(DataError, match="a table as the reference, received"):
            tfx_loop.monitor(column, column)


def test_one_name_may_stand_for_a_list_of_names():
    report = tfx_loop.monitor(frame(0), frame(1), ids="city", ignore="plan").to_dict()
    assert entry_of(report, "city")["note"] == "named as an id"
    assert "plan" not in [entry["feature"] for entry in report["features"]]


@pytest.mark.slow
def test_tensorflow_and_tfx_are_not_needed():
    code = (
        "import sys, pyarrow as pa, tfx_loop\n"
        "table = pa.table({'x': list(range(400)), 'y': [float(i % 7) for i in range(400)]})\n"
        "tfx_loop.monitor(table, table).to_html()\n"
        "print([name for name in ('tensorflow', 'tfx', 'apache_beam') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_reports_name_features_as_json_does():
    report = tfx_loop.monitor(frame(0), frame(1))
    assert entry_of(report.to_dict(), "price")["change"]["reference"]["rows"] == len(frame(0))


def test_without_duckdb_a_query_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(DataError, match=r"Install it: pip install 'tfx-loop\[sql\]'"):
        tfx_loop.monitor("duckdb:SELECT 1", frame(0))


@pytest.mark.slow
def test_queries_are_compared_as_their_rows_are(capsys, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    reference = save(frame(0), tmp_path, "a")
    current = frame(1).assign(**MOVED)
    database = tmp_path / "shop.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.register("rows", current)
        connection.execute("CREATE TABLE visits AS SELECT * FROM rows")
    before = "duckdb:SELECT * FROM read_parquet('FILE')".replace("FILE", reference)
    query = "SELECT *, '2024-01-01'::DATE AS day FROM visits"
    after = f"duckdb:{database}::{query}"
    status, report = monitored(capsys, before, after)
    assert (status, report["verdict"], report["window"]) == (3, "DRIFT", after)
    files = save(current, tmp_path, "b")
    _, told = monitored(capsys, reference, files)
    assert [e["psi"] for e in report["features"] if e["psi"] is not None] == [
        e["psi"] for e in told["features"] if e["psi"] is not None
    ]
    with pytest.raises(DataError, match="received: Catalog Error: Table with name vists"):
        tfx_loop.monitor(f"duckdb:{database}::" + "FROM vists", current)
    cast = "duckdb:SELECT x::INTEGER AS x FROM range(500) AS r(x)"
    assert tfx_loop.monitor(cast, cast, numeric=["x"]).verdict == "STABLE"


def test_a_column_that_mixes_types_is_text(tmp_path):
    def rows(seed, shares):
        random = np.random.default_rng(seed)
        values = np.array([1, 2.5, "a", None], dtype=object)
        mixed = random.choice(values, 1_500, p=shares)
        return pd.DataFrame({"x": random.normal(size=1_500), "c": mixed})

    before = rows(0, [0.25] * 4)
    assert tfx_loop.monitor(before, rows(1, [0.25] * 4)).verdict == "STABLE"
    moved = tfx_loop.monitor(before, rows(1, [0.1, 0.4, 0.25, 0.25]))
    assert [f.feature for f in moved.features if f.drifted] == ["c"]


def test_columns_that_pandas_alone_has_are_compared():
    def rows(seed, cuts=(0, 0.3, 1)):
        random = np.random.default_rng(seed)
        sparse = pd.arrays.SparseArray(random.choice([0.0, 0.0, 1.5], 1_500))
        return pd.DataFrame({"sparse": sparse, "bin": pd.cut(random.random(1_500), list(cuts))})

    assert tfx_loop.monitor(rows(0), rows(1)).verdict == "STABLE"
    broken = tfx_loop.monitor(rows(0), rows(1, (0, 0.5, 1)))
    assert [f.feature for f in broken.features if f.fault] == ["bin"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"c": [1j] * 200}, "'c' of the reference, received complex"),
        ({"c": [object()] * 200}, "'c' of the reference, received object"),
    ],
)
def test_values_that_no_file_would_hold_are_refused_by_the_columns_name(columns, told):
    with pytest.raises(DataError, match=told):
        tfx_loop.monitor(pd.DataFrame(columns), pd.DataFrame(columns))


def test_a_name_that_is_there_twice_is_refused():
    twice = pd.DataFrame(np.zeros((200, 2)), columns=["a", "a"])
    with pytest.raises(DataError, match=r"once in the reference, received \['a'\] twice"):
        tfx_loop.monitor(twice, twice)
