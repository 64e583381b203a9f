"""Does a real browser draw the page: every plot, in colours, without a complaint?"""

import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from page_run import page_inputs
from time_limits import seconds

from tfx_loop.pipelines.examples.flights.demo.page import render_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PLOTS = 6
SIZE = (1280, 2600)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_page(**page_inputs()), encoding="utf-8")
    return path


def run_chromium(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update",
             "--enable-logging=stderr", f"--user-data-dir={profile}"]  # fmt: skip
    return subprocess.run(
        [CHROMIUM, *quiet, *flags, page.as_uri()],
        capture_output=True, text=True, timeout=seconds(120), check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_browser_reads_every_plot_without_a_complaint(page: Path, tmp_path: Path) -> None:
    seen = run_chromium(page, tmp_path / "profile", "--dump-dom")
    assert seen.stdout.count("<svg") == PLOTS
    assert seen.stdout.count('class="dot loop"') == 2 * 9
    assert "CONSOLE" not in seen.stderr


def test_browser_draws_the_three_policies(page: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    run_chromium(
        page, tmp_path / "profile", f"--screenshot={picture}", "--hide-scrollbars",
        f"--window-size={SIZE[0]},{SIZE[1]}", "--force-device-scale-factor=1",
        "--blink-settings=preferredColorScheme=1",
    )  # fmt: skip
    pixels = np.rint(matplotlib.image.imread(picture)[:, :, :3] * 255).astype(int)
    assert pixels.shape[:2] == (SIZE[1], SIZE[0])
    for colour in ((0x00, 0x67, 0xA5), (0xC4, 0x50, 0x0C), (0x00, 0x80, 0x5F)):
        assert (pixels == colour).all(axis=2).sum() > 200, f"no line in {colour}"
