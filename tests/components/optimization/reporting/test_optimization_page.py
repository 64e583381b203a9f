"""The page and the terminal say all that the report knows, and nothing that it does not."""

import re
from dataclasses import replace

import numpy as np
from sample_report import REPORT, RUNGS

from tfx_loop.contracts.optimization_report import OptimizationVerdict, RungStatus
from tfx_loop.models.rows.arrays import load_arrays, save_arrays
from tfx_loop.optimization.reporting.formatting import milliseconds, signed, size_text, times
from tfx_loop.optimization.reporting.page import render, render_model
from tfx_loop.optimization.reporting.terminal import model_parts, report_parts

SECTIONS = [
    "Size against metric",
    "What was lost, and where",
    "Every variant, and why it was left",
    "Error by layer",
    "Time of a call",
    "Weights by layer",
    "Inputs and outputs",
    "How it was made",
]


def headings(page):
    return re.findall("<h2>(.*?)</h2>", page)


def test_the_page_has_all_parts_and_needs_no_network():
    page = render(REPORT)
    assert headings(page) == SECTIONS
    assert "<script" not in page
    assert "http" not in page
    for rung in RUNGS:
        assert rung.name in page
    assert "camera:rear" in page
    assert "conv2d" in page


def test_what_was_not_measured_is_left_out():
    bare = replace(
        REPORT,
        verdict=OptimizationVerdict.NOT_KEPT,
        child=None,
        parent=replace(REPORT.parent, latency=(), layers=(), inputs=(), outputs=()),
        overall=None,
        slices=(),
        parity=None,
        rungs=(RUNGS[-1],),
    )
    assert headings(render(bare)) == [SECTIONS[2], SECTIONS[-1]]
    assert "NOT KEPT" in render(bare)
    assert report_parts(bare)[0].startswith("NOT KEPT - ")


def test_names_from_files_are_no_markup():
    hostile = replace(REPORT, explanation="<b>&", notes=("<script>alert(1)</script>",))
    page = render(hostile)
    assert "<script" not in page
    assert "<h1>&lt;b&gt;&amp;</h1>" in page


def test_a_variant_that_broke_does_not_squash_the_others():
    """int8 lost 0.09; the axis ends near the budget, and its value is written."""
    page = render(REPORT)
    assert "int8: 0.8619" in page
    heights = [float(y) for y in re.findall(r'<circle cx="[^"]*" cy="([^"]*)" r="6.5"', page)]
    assert max(heights) - min(heights) > 30


def test_every_status_has_a_look_of_its_own():
    page = render(REPORT)
    for kind in ("v chosen", "v kept", "v over"):
        assert f'class="{kind}"' in page
    assert RUNGS[1].status is RungStatus.CHOSEN


def test_losses_are_drawn_downwards_when_lower_is_better():
    from tfx_loop.contracts.optimization_report import MetricUsed

    page = render(replace(REPORT, metric=MetricUsed(name="LogLoss", higher_is_better=False)))
    assert "LogLoss" in page


def test_the_terminal_names_the_variants_and_why_they_were_left():
    text = "\n\n".join(map(str, report_parts(REPORT)))
    assert text.startswith("KEPT - Selective int8")
    assert "int8: loses 0.0893 of 0.005" in text
    assert re.search(r"camera:rear\s+420\s+0.9500\s+0.9260\s+\+0.0240", text)
    assert re.search(r"parent\s+1\s+1.91 ms", text)
    assert max(len(line) for line in text.splitlines()) < 180


def test_one_model_is_described_without_a_report():
    assert "conv2d" in "".join(map(str, model_parts(REPORT.parent)))
    assert headings(render_model(REPORT.parent)) == ["Weights by layer", "Inputs and outputs"]


def test_numbers_are_said_with_the_digits_they_have():
    assert [size_text(n) for n in (12, 1_500, 98_496, 318_144, 4_200_000)] == [
        "12 bytes",
        "1.5 kB",
        "98.5 kB",
        "318 kB",
        "4.2 MB",
    ]
    assert [milliseconds(x) for x in (0.0274, 1.914, 22.41, 412.3)] == [
        "0.027 ms",
        "1.91 ms",
        "22.4 ms",
        "412 ms",
    ]
    assert signed(-0.00001) == "0.0000"
    assert signed(None) == "–"  # noqa: RUF001
    assert times(318_144, 98_496) == "3.2 times"


def test_arrays_travel_under_any_name(tmp_path):
    arrays = {"file": np.arange(3), "a/b": np.ones((2, 2), np.float32), "names": np.array(["x"])}
    save_arrays(tmp_path / "a.npz", arrays)
    found = load_arrays(tmp_path / "a.npz")
    assert set(found) == set(arrays)
    assert all((found[name] == arrays[name]).all() for name in arrays)
