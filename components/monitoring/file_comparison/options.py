"""Options of reading two files for a comparison."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.file_comparison.chunks import check_every


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """How two files are read and cut; when they differ say the DriftSettings.

    Attributes:
        by: Column whose values slice the rows; empty for none.
        every: Cuts the current file into chunks that are judged one by one: `day`, `week` or a
            number of rows; empty for one of all.
        multivariate: Test all features together, too (multivariate.py).
        seed: Of the sample that bins are frozen on.
        missing_values: Texts that stand for missing values, beside those that are known (cells.py);
            numbers among them are missing in columns of numbers, too.
        decimal: Decimal mark of numbers that are written as text, `.` or `,`; told from them unless
            given.
    """

    by: str = ""
    every: str = ""
    multivariate: bool = False
    seed: int = 0
    missing_values: tuple[str, ...] = ()
    decimal: str = ""

    def __post_init__(self) -> None:
        if self.decimal not in ("", ".", ","):
            raise ConfigError(f"decimal must be '.' or ',', got {self.decimal!r}.")
        check_every(self.every)
