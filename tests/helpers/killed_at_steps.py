"""Work in a forked process that is killed by SIGKILL before its n-th step on the disk."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator

from tfx_loop.core import conditional_files, storage

# What changes the disk, or makes it keep a change, in the order in which a push does it.
_STEPS = ((os, "rename"), (os, "replace"), (shutil, "copytree"), (shutil, "rmtree"))
_MORE_STEPS = ((storage, "sync"), (conditional_files.FolderFiles, "replace"))


def killed_at_each_step(work: Callable[[], None]) -> Iterator[int]:
    """Runs the work again and again, killed one step later each time; ends when it gets through.

    Yields:
        The number of the step that it was killed before; the caller sets the scene anew.
    """
    step = 0
    while _run(work, step):
        yield step
        step += 1


def _run(work: Callable[[], None], last: int) -> bool:
    """Says whether the work was killed."""
    child = os.fork()
    if child == 0:
        try:
            _arm(last)
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return False


def _arm(last: int) -> None:
    count = 0

    def counted(real: Callable) -> Callable:
        def step(*args, **kwargs):
            nonlocal count
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return real(*args, **kwargs)

        return step

    for owner, name in (*_STEPS, *_MORE_STEPS):
        setattr(owner, name, counted(getattr(owner, name)))
