"""Checks of what a loop file names, before the first step needs it: function, folders, labels."""

from pathlib import Path

from tfx_loop.core.folders import is_folder
from tfx_loop.core.storage import is_remote
from tfx_loop.data.prediction_log.labels import label_files
from tfx_loop.pipelines.checkup import CheckLine, Health, checked
from tfx_loop.pipelines.control.home import HOME_RECORD, HomeRecord
from tfx_loop.pipelines.loop_file import LoopFile


def kept_home(loop_file: LoopFile) -> HomeRecord:
    """Returns where a model is served from, as its server said once; empty before, or if broken."""
    settings = loop_file.settings
    try:
        kept = HOME_RECORD.find(settings.folder)
    except ValueError:
        kept = None  # `stated_checks` has a line about it.
    return kept or HomeRecord(model_name=settings.name)


def stated_checks(loop_file: LoopFile) -> list[CheckLine]:
    """Looks at what the file names; what cannot be looked at is a broken line, and no error."""
    return [
        *checked("training", lambda: [_training(loop_file)]),
        *checked("home", lambda: [_home(loop_file)]),
        *checked("labels", lambda: [_labels(str(loop_file.settings.labels.path))]),
    ]


def _training(loop_file: LoopFile) -> CheckLine:
    # Imported, not called: a function may export rows of days.
    loop_file.pipeline()
    found = f"{loop_file.settings.pipeline} can be imported"
    return CheckLine(what="training", health=Health.OK, found=found)


def _home(loop_file: LoopFile) -> CheckLine:
    settings = loop_file.settings
    kept = HOME_RECORD.find(settings.folder)
    if kept is None:
        told = f"{settings.folder} is none yet"
        remedy = "`loop step` makes it and trains the first version"
        return CheckLine(what="home", health=Health.WARN, found=told, remedy=remedy)
    if kept.model_name != settings.name:
        return CheckLine(
            what="home",
            health=Health.BROKEN,
            found=f"{settings.folder} is that of {kept.model_name!r}, not of {settings.name!r}",
            remedy="give each model a home of its own",
        )
    return CheckLine(what="home", health=Health.OK, found=f"{settings.folder} of {settings.name}")


def _labels(folder: str) -> CheckLine:
    if is_remote(folder):
        return CheckLine(what="labels", health=Health.OK, found=f"{folder} (not looked at)")
    if not is_folder(folder):
        kind = "a file" if Path(folder).exists() else "none"
        return CheckLine(
            what="labels",
            health=Health.BROKEN,
            found=f"Expected the folder of labels at {folder}, found {kind}",
            remedy="make it, empty if no labels have come yet",
        )
    count = len(label_files(folder))
    return CheckLine(what="labels", health=Health.OK, found=f"{count} files in {folder}")
