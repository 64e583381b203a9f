"""The site of README and docs/ builds, and every link in it leads somewhere."""

import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT
from time_limits import seconds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-b", "html",
         "-d", str(folder / ".doctrees"), ".", str(folder)],
        capture_output=True, text=True, cwd=ROOT, timeout=seconds(300), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_has_a_page_and_stands_in_the_contents(site: Path) -> None:
    front = (site / "README.html").read_text()
    for name in DOCUMENTS:
        page = name.replace(".md", ".html")
        assert (site / page).is_file(), name
        if name != "README.md" and not name.startswith("docs/adr/0"):
            assert f'href="{page}"' in front, name
    assert "README.html" in (site / "index.html").read_text()


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for tag in ("<script", "<link", "<img"):
            for part in page.read_text().split(tag)[1:]:
                assert "://" not in part.split(">")[0], f"{page.name}: {part[:100]}"
