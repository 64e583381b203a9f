"""A real browser draws the page: every plot, in colours, without a complaint."""

from pathlib import Path

import pytest
from chromium import needs_chromium, run_chromium, screenshot
from page_run import page_inputs

from tfx_loop.pipelines.examples.flights.demo.page import read_report, render_page

PLOTS = 6
SIZE = (1280, 2600)

pytestmark = [pytest.mark.e2e, needs_chromium]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_page(read_report(**page_inputs())), encoding="utf-8")
    return path


def test_browser_reads_every_plot_without_a_complaint(page: Path, tmp_path: Path) -> None:
    seen = run_chromium(page, tmp_path / "profile", "--dump-dom")
    assert seen.stdout.count("<svg") == PLOTS
    assert seen.stdout.count('class="dot loop"') == 2 * 9
    assert "CONSOLE" not in seen.stderr


def test_browser_draws_the_three_policies(page: Path, tmp_path: Path) -> None:
    pixels = screenshot(page, tmp_path, *SIZE)
    assert pixels.shape[:2] == (SIZE[1], SIZE[0])
    for colour in ((0x00, 0x67, 0xA5), (0xC4, 0x50, 0x0C), (0x00, 0x80, 0x5F)):
        assert (pixels == colour).all(axis=2).sum() > 200, f"no line in {colour}"
