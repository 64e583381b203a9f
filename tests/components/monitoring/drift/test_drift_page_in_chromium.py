"""A real browser draws the page of a drift report, in light and dark, without a complaint."""

from dataclasses import replace
from pathlib import Path

import pytest
from chromium import needs_chromium, run_chromium, screenshot
from drift_page_run import reference_profile, reports

from tfx_loop.contracts.drift_report import DriftVerdict
from tfx_loop.monitoring.drift.page import render

SIZE = (1280, 2400)
LIGHT = {"paper": (255, 255, 255), "now": (0xC4, 0x50, 0x0C), "reference": (0xA9, 0xCB, 0xE4)}
DARK = {"paper": (0x12, 0x17, 0x1E), "now": (0xF0, 0x97, 0x5A), "reference": (0x2B, 0x54, 0x73)}

pytestmark = [pytest.mark.e2e, needs_chromium]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "drift_report.html"
    path.write_text(render(reports(reference_profile())[-1]), encoding="utf-8")
    return path


def test_browser_reads_every_plot_without_a_complaint(page: Path, tmp_path: Path) -> None:
    seen = run_chromium(page, tmp_path / "profile", "--dump-dom")
    # Four features, quality against held-out rows and over windows, the map.
    assert seen.stdout.count("<svg") == 4 + 2 + 1
    assert seen.stdout.count('class="card ') == 4
    assert "CONSOLE" not in seen.stderr


@pytest.mark.parametrize(("scheme", "colours"), [(1, LIGHT), (0, DARK)])
def test_browser_draws_both_sides_in_both_schemes(
    page: Path, tmp_path: Path, scheme: int, colours: dict[str, tuple[int, int, int]]
) -> None:
    pixels = screenshot(page, tmp_path, *SIZE, scheme=scheme)
    assert pixels.shape[:2] == (SIZE[1], SIZE[0])
    for name, colour in colours.items():
        assert (pixels == colour).all(axis=2).sum() > 500, f"no {name} in {colour}"


def test_nothing_is_wider_than_a_telephone(page: Path, tmp_path: Path) -> None:
    pixels = screenshot(page, tmp_path, 500, 2400)
    assert (pixels[:, -8:] == 255).all()


def test_a_long_name_is_broken_and_not_cut_on_a_telephone(tmp_path: Path) -> None:
    """In a frame as wide as a telephone: Chromium itself opens no window below 500 pixels."""
    report = reports(reference_profile())[-1]
    name = "customer_lifetime_value_in_euros_before_tax_and_after_returns_of_the_last_quarter"
    first, *others = report.features
    renamed = (replace(first, feature=name, drifted=True, fault=None), *others)
    title = f"{name}.parquet against {name}.csv"
    (tmp_path / "narrow.html").write_text(
        render(replace(report, features=renamed, verdict=DriftVerdict.DRIFT), title=title)
    )
    frame = '<body style="margin:0;background:#fff">' + (
        '<iframe src="narrow.html" style="border:0;width:390px;height:900px"></iframe>'
    )
    (tmp_path / "page.html").write_text(f"<!doctype html>{frame}")
    pixels = screenshot(tmp_path / "page.html", tmp_path, 500, 900)
    header = pixels[:320, :390]
    assert (header[:, -8:] == 255).all()
    # Letters stand near the right edge: the name fills the line, rather than hang out of it.
    assert (header[:, 300:380] < 128).any()
