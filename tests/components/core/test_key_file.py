"""Keys come from a file of its owner's alone, and stand nowhere else."""

import stat
import threading

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import SecretKey, read_keys


def test_a_key_is_made_once_and_read_by_its_owner_alone(tmp_path):
    path = tmp_path / "keys" / "hash.key"
    (made,) = read_keys(path, make=True)
    assert read_keys(path, make=True) == read_keys(path) == (made,)
    assert len(made.value) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [child.name for child in path.parent.iterdir()] == ["hash.key"]


def test_processes_that_make_the_key_at_once_agree(tmp_path):
    found, start = [], threading.Barrier(8)

    def make():
        start.wait()
        found.append(read_keys(tmp_path / "k", make=True))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_new_first_line_is_the_new_key_and_the_old_one_still_reads(tmp_path):
    path = tmp_path / "k"
    (old,) = read_keys(path, make=True)
    path.write_text("ab" * 32 + "\n" + path.read_text())
    assert read_keys(path) == (SecretKey(b"\xab" * 32), old)


def test_neither_repr_nor_errors_tell_a_key(tmp_path):
    path = tmp_path / "k"
    path.write_text("ab" * 31)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="64 hexadecimal digits") as caught:
        read_keys(path)
    assert "abab" not in str(caught.value)
    assert "abab" not in repr(SecretKey(b"\xab" * 32))


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (None, 0o600, "No such file"),
        (b"", 0o600, "0 lines"),
        (b"\xff\xfe", 0o600, "no text"),
        (b"ab" * 32, 0o640, "mode 640 .* chmod 600"),
    ],
)
def test_what_is_no_file_of_keys_is_one_line(tmp_path, content, mode, says):
    path = tmp_path / "k"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=says):
        read_keys(path)
