"""The folder of one model's loop: its metadata store, its artifacts, and where it is served.

A home is made once and marked. One whose store is gone is refused: a store that is made anew has
forgotten claims, cooldown and budget, and what was trained would be trained again.
"""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.json_file import JsonFile
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.store_address import is_server
from tfx_loop.pipelines.control.stores import StoreMode, open_store

STORE_FILE = "metadata.sqlite"


@dataclass(frozen=True, kw_only=True)
class HomeRecord:
    """What marks a home.

    Attributes:
        model_name: The served model.
        base_path: Folder of versions that its server watches; empty before it was asked.
        prediction_log: Folder of the server's log; empty before it was asked.
    """

    model_name: str
    base_path: str = ""
    prediction_log: str = ""


HOME_RECORD = JsonFile(
    name="loop.json",
    kind=HomeRecord,
    title="the mark of a loop's home",
    remedy="Restore it from a copy, or choose another home.",
)


def open_home(folder: Path, model_name: str, store: str = "") -> HomeRecord:
    """Returns the mark of a home, which is made where there is none.

    Args:
        folder: The home.
        model_name: The served model.
        store: Address of a metadata store elsewhere; empty for the file in the home.

    Raises:
        ConfigError: The folder is another model's home.
        DataError: Its store is gone, or the mark of a store that is there.
    """
    found = HOME_RECORD.find(folder)
    if found is None:
        if not store and (folder / STORE_FILE).exists():
            raise DataError(
                f"Expected {HOME_RECORD.path(folder)} beside the metadata store in {folder}, found "
                "none. Name another folder as home, or this store by `metadata`."
            )
        record = HomeRecord(model_name=model_name)
        HOME_RECORD.write(record, folder)
        return record
    if found.model_name != model_name:
        raise ConfigError(
            f"Expected the home of {model_name!r} in {folder}, found that of "
            f"{found.model_name!r}. Give each model a home of its own."
        )
    return found


def open_loop_store(place: str) -> Store:
    """Opens the store of a loop, which is made where there is none, with the loop's types."""
    if not is_server(place):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    store = open_store(place, StoreMode.CREATE)
    ledger.register_types(store)
    return store
