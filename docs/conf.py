"""Sphinx's configuration for the site: README, docs/, results of benchmarks, and how to contribute.

The source folder is the checkout, so that the pages stay where GitHub shows them and their links
to each other hold in both places. `make docs` builds with every warning an error: a link that
leads nowhere stops the build.
"""

from typing import Any

project = "tfx-loop"
author = "the authors of tfx-loop"
copyright = "the authors of tfx-loop, Apache License 2.0"

extensions = ["myst_parser"]
myst_heading_anchors = 3
myst_enable_extensions: list[str] = []

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "tests/benchmarks/*/RESULTS.md"]
# Folders that hold no page are not walked.
exclude_patterns = [".*", "build", "components", "docker", "out", "pipelines", "scripts", "src"]
nitpicky = True
# Sections of some pages are deeper than their title asks for; that harms nobody.
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = "tfx-loop"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_static_path = ["site"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["site"]

# The pages in the order in which they are read; Sphinx wants to know it, GitHub does not.
_CONTENTS = """

```{toctree}
:hidden:
:caption: Use it

docs/tutorial
docs/concepts
docs/components
docs/cli
docs/model-server
docs/conformance
docs/gateway
docs/kubeflow
docs/vertex
docs/sagemaker
docs/lineage
```

```{toctree}
:hidden:
:caption: How it is built

docs/architecture
Decisions <docs/adr/README>
CONTRIBUTING
CHANGELOG
```

```{toctree}
:hidden:
:caption: What holds

docs/benchmarks
docs/limits
docs/security
docs/privacy
Results: decisions <tests/benchmarks/decide/RESULTS>
Results: drift <tests/benchmarks/drift/RESULTS>
Results: optimisation <tests/benchmarks/compress/RESULTS>
Results: Edge TPU <tests/benchmarks/edgetpu/RESULTS>
Results: privacy <tests/benchmarks/privacy/RESULTS>
Results: guard <tests/benchmarks/guard/RESULTS>
Results: faults <tests/benchmarks/faults/RESULTS>
Results: lineage <tests/benchmarks/lineage/RESULTS>
Results: serving <tests/benchmarks/serving/RESULTS>
```
"""
_DECISIONS = """

```{toctree}
:hidden:
:glob:

0*
```
"""


def _add_contents(_app: Any, page: str, source: list[str]) -> None:
    source[0] += {"README": _CONTENTS, "docs/adr/README": _DECISIONS}.get(page, "")


def setup(app: Any) -> None:
    """Gives the pages their places in the contents."""
    app.connect("source-read", _add_contents)
