import errno
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cluster.errors import Halt, UserError
from cluster.files import RunLock, atomic_path, halt_on_disk_error, write_atomically


def test_a_file_is_written_whole_and_its_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_atomically(path, "grüß")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["b.json"]


def test_a_written_file_has_the_usual_permissions(tmp_path):
    write_atomically(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_halts_in_one_line_that_names_the_path():
    with pytest.raises(Halt) as halt, halt_on_disk_error("metrics.json"):
        Path("/dev/full").write_bytes(b"x")
    assert str(halt.value) == "metrics.json: No space left on device; free some and run again"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EACCES])
def test_an_error_of_the_disk_is_a_halt(number):
    with pytest.raises(Halt, match=os.strerror(number)), halt_on_disk_error("x"):
        raise OSError(number, os.strerror(number))


def test_any_other_error_passes_as_it_is():
    with pytest.raises(FileNotFoundError), halt_on_disk_error("x"):
        raise FileNotFoundError(errno.ENOENT, "no")


def test_a_full_disk_leaves_the_old_file(small_disk):
    path = small_disk / "a.bin"
    write_atomically(path, b"old")
    with pytest.raises(Halt, match=r"a\.bin: No space left on device"):
        write_atomically(path, bytes(2 << 20))
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_a_second_taker_of_a_run_folder_is_told_who_has_it(tmp_path):
    folder = tmp_path / "first"
    with RunLock(folder, "populace run"):
        with pytest.raises(UserError) as refused, RunLock(folder):
            pass
        holder = json.loads((folder / ".lock").read_text())
    assert set(holder) == {"pid", "host", "since", "command", "beat"}
    since = time.strftime("%H:%M", time.localtime(holder["since"]))
    assert str(refused.value) == (
        f"{folder} is in use by process {os.getpid()} on host {os.uname().nodename} since {since} (populace run); "
        "wait for it or stop it"
    )


def test_a_lock_from_another_day_is_told_with_its_date(tmp_path):
    with RunLock(tmp_path):
        (tmp_path / ".lock").write_text(json.dumps({"pid": 1, "host": "x", "since": 0.0, "command": "c"}))
        with pytest.raises(UserError, match=r"since 19(70-01-01|69-12-31) \d\d:\d\d"), RunLock(tmp_path):
            pass


def test_a_lock_that_is_not_signed_yet_is_refused_all_the_same(tmp_path):
    with RunLock(tmp_path):
        (tmp_path / ".lock").write_text("")
        with pytest.raises(UserError, match="in use by another process"), RunLock(tmp_path):
            pass


def test_a_released_folder_can_be_taken_again(tmp_path):
    for _ in range(2):
        with RunLock(tmp_path):
            pass
    assert (tmp_path / ".lock").read_text() == ""


def test_the_lock_goes_with_a_killed_process(tmp_path):
    holder = "from pathlib import Path; import sys, time; from cluster.files import RunLock\n"
    holder += "with RunLock(Path(sys.argv[1]), 'populace run'): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=rf"process {child.pid} on host .* \(populace run\)"), RunLock(tmp_path):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
    with RunLock(tmp_path):
        pass


def test_a_file_system_without_locks_is_warned_of_and_used(tmp_path, caplog):
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with RunLock(tmp_path, flock=no_locks):
        assert "has no file locks (No locks available)" in caplog.text
        fcntl.flock(os.open(tmp_path / ".lock", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_in_the_place_of_the_run_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="cannot be used as a run folder: File exists"), RunLock(tmp_path / "run"):
        pass


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def signed_elsewhere(folder, beat: int) -> None:
    signature = {"pid": 7, "host": "another-machine", "since": 0.0, "command": "populace run", "beat": beat}
    content = json.dumps(signature).encode()
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, content, 0)  # as a holder does: at no moment is there none
    os.ftruncate(descriptor, len(content))
    os.close(descriptor)


def test_a_folder_in_which_another_host_still_counts_is_in_use_though_the_lock_is_free_here(tmp_path):
    over = threading.Event()

    def count() -> None:
        for beat in itertools.count():
            signed_elsewhere(tmp_path, beat)
            if over.wait(0.1):
                return

    counting = threading.Thread(target=count)
    counting.start()
    try:
        time.sleep(0.3)
        with pytest.raises(UserError, match="process 7 on host another-machine"), RunLock(tmp_path, beat_s=0.3):
            pass
    finally:
        over.set()
        counting.join()


def test_a_folder_that_died_with_another_host_is_taken_after_a_look(tmp_path):
    signed_elsewhere(tmp_path, 3)
    with RunLock(tmp_path, beat_s=0.1):
        time.sleep(0.5)
        mine = json.loads((tmp_path / ".lock").read_text())
    assert mine["pid"] == os.getpid() and mine["beat"] >= 2
    assert (tmp_path / ".lock").read_text() == ""
