"""Which rows do some splits of Examples hold together?"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tfx_loop.data.tables.table_file import open_table
from tfx_loop.data.tables.unified import common_schema, conformed


def read_splits(folders: Sequence[str]) -> Any:
    """Returns the rows of several folders of tf.Examples as one pyarrow table, in their order.

    Raises:
        DataError: A folder is empty or damaged, or two disagree on a column's type.
    """
    files = [open_table(folder) for folder in folders]
    schema = common_schema((file.path, file.schema) for file in files)
    batches = [conformed(batch, schema, schema.names) for file in files for batch in file.batches()]
    return pa.Table.from_batches(batches, schema=schema)
