import subprocess
import sys
import threading
import time
import uuid

import pytest
from journals import environment

from cluster.errors import UserError
from cluster.files import is_held, run_lock
from cluster.lease import Lease
from cluster.object_path import ObjectPath, path_of

HOLDER = """
import sys, time
from cluster.files import run_lock
from cluster.object_path import path_of
with run_lock(path_of(sys.argv[1]), "populace run"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def run_dir(object_store) -> ObjectPath:
    return path_of(f"s3://bucket/runs/{uuid.uuid4().hex}")


@pytest.fixture
def holder(run_dir):
    """Another process that holds the run."""
    command = [sys.executable, "-c", HOLDER, str(run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_job_is_refused_and_told_of_the_first(run_dir, holder):
    began = time.monotonic()
    with pytest.raises(UserError, match=rf"is in use by process {holder.pid} on host .* \(populace run\); wait"):
        run_lock(run_dir, "populace run").__enter__()
    assert time.monotonic() - began < 20 and is_held(run_dir)


def test_the_run_of_a_process_that_was_killed_is_taken_at_once(run_dir, holder):
    holder.kill()
    holder.wait()
    assert not is_held(run_dir)
    began = time.monotonic()
    with run_lock(run_dir, "populace run"):
        assert time.monotonic() - began < 20 and is_held(run_dir)
    assert not is_held(run_dir) and not run_dir.exists()


class OfAnotherMachine(Lease):
    """One whose process cannot be looked for from here."""

    def __init__(self, path: ObjectPath, **options: object) -> None:
        super().__init__(path, **options)
        self._mine = type(self._mine)(self._mine.holder, self._mine.token, "another machine")


def test_a_holder_that_shows_beats_is_alive_wherever_it_is(run_dir):
    first = OfAnotherMachine(run_dir / ".lock", beat_s=1.0)
    second = Lease(run_dir / ".lock")
    assert first.take()
    began = time.monotonic()
    while not second.is_alive:
        assert not second.take() and time.monotonic() - began < 30
        time.sleep(0.1)
    assert second.holder == first._mine.holder
    first.release()
    assert second.take()
    second.release()


def test_a_holder_without_beats_loses_it_after_a_while_and_learns_of_it(run_dir):
    lost = threading.Event()
    first = OfAnotherMachine(run_dir / ".lock", beat_s=2.5, on_loss=lambda _: lost.set())
    second = Lease(run_dir / ".lock", stale_s=1.0, beat_s=60)
    assert first.take()
    began = time.monotonic()
    while not second.take():
        assert time.monotonic() - began < 20
        time.sleep(0.1)
    assert time.monotonic() - began >= 1.0
    assert lost.wait(20)
    first.release()
    assert (run_dir / ".lock").is_file(), "what another holds is left alone"
    second.release()


def test_of_many_who_want_it_at_once_one_has_it(run_dir):
    leases = [Lease(run_dir / ".lock") for _ in range(8)]
    took: list[bool] = []
    threads = [threading.Thread(target=lambda one=one: took.append(one.take())) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(took) == 1
    for lease in leases:
        lease.release()


def test_a_put_whose_answer_was_lost_still_takes_it(run_dir, object_store):
    before = object_store.requests("PUT") + 1
    object_store.answer(count=1, methods=["PUT"], late=True)
    lease = Lease(run_dir / ".lock")
    assert lease.take() and object_store.requests("PUT") > before
    object_store.answer()
    lease.release()


def test_who_cannot_tell_the_store_for_long_stops_before_others_may_take_it(run_dir, object_store):
    lost = threading.Event()
    lease = Lease(run_dir / ".lock", beat_s=0.2, stale_s=2.0, on_loss=lambda _: lost.set())
    assert lease.take()
    object_store.answer(methods=["PUT"])
    assert lost.wait(10)
    object_store.answer()
    lease.release()
