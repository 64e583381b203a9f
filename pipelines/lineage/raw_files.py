"""Raw data that ExampleGens read: files of spans, folders of CSV files and the like."""

import os

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.storage import is_remote
from tfx_loop.data.span_example_gen.spans import parse_spans
from tfx_loop.pipelines.lineage.graph import Execution

SPAN_GENERATOR = "SpanExampleGen"


def raw_files(execution: Execution) -> list[str]:
    """Returns what an ExampleGen read, files of its spans or its folder; none for other nodes."""
    base, pattern, spans = (
        str(execution.properties.get(name, "")) for name in ("input_base", "pattern", "spans")
    )
    if not base:
        return []
    if execution.type == SPAN_GENERATOR and pattern and spans:
        names = (pattern.format(SPAN=span) for span in parse_spans(spans))
        return [place(f"{base.rstrip('/')}/{name}") for name in names]
    return [place(base)]


def place(uri: str) -> str:
    """Returns a URI as all ways to write it are: a path from the root, or a remote URI."""
    return uri.rstrip("/") if is_remote(uri) else os.path.abspath(uri.removeprefix("file://"))


def spans_of(text: str) -> tuple[int, ...]:
    """Returns the spans that an artifact's property names; none where it names none."""
    try:
        return parse_spans(text) if text else ()
    except ConfigError:
        return ()
