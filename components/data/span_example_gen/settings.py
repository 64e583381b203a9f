"""Settings of SpanExampleGen."""

from dataclasses import dataclass

from tfx_loop.core.settings import NodeSettings
from tfx_loop.data.span_example_gen.spans import SplitRule, parse_spans


@dataclass(frozen=True, kw_only=True)
class SpanExampleGenSettings(SplitRule, NodeSettings):
    """Which spans are read, and how their rows are split.

    Attributes:
        input_base: Folder or URI that holds the spans.
        spans: Which spans to read, such as "1,2,3".
        pattern: File name of a span below `input_base`, with `{SPAN}`.
    """

    input_base: str
    spans: str
    pattern: str = "span-{SPAN:02d}.parquet"

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_spans(self.spans)
