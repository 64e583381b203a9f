"""Runs Chromium on a page, for the tests that look at what a browser makes of it."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from time_limits import seconds

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DARK, LIGHT = 0, 1

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)"
)


def run_chromium(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Opens a page without a window; the browser's own log comes on standard error."""
    assert CHROMIUM is not None
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update",
             "--enable-logging=stderr", f"--user-data-dir={profile}"]  # fmt: skip
    return subprocess.run(
        [CHROMIUM, *quiet, *flags, page.as_uri()],
        capture_output=True, text=True, timeout=seconds(120), check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def screenshot(
    page: Path, folder: Path, width: int, height: int, scheme: int = LIGHT
) -> npt.NDArray[np.int64]:
    """Returns the pixels of a page, of shape [height, width, 3], each 0 to 255."""
    # 0.4 s that each process of `make test-fast` would pay as it reads the tests.
    import matplotlib.image

    picture = folder / "page.png"
    run_chromium(
        page, folder / "profile", f"--screenshot={picture}", "--hide-scrollbars",
        f"--window-size={width},{height}", "--force-device-scale-factor=1",
        f"--blink-settings=preferredColorScheme={scheme}",
    )  # fmt: skip
    return np.rint(matplotlib.image.imread(picture)[:, :, :3] * 255).astype(np.int64)
