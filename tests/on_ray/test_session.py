"""The end of a session while a stream of Ray Data is under way."""

from __future__ import annotations

import subprocess
import sys

A_THREAD_ASKS_AGAIN = """
import sys, threading, time
import ray
from cluster.session import session

found = []

def ask_again():
    time.sleep(1)
    found.append(ray.is_initialized())

with session(sys.argv[1]):
    batches = iter(ray.data.range(40, override_num_blocks=40).iter_batches(batch_size=None))
    next(batches)
    assert any(one.name == "iter_threaded" for one in threading.enumerate()), "Ray Data names its threads otherwise now"
    batches.close()
    threading.Thread(target=ask_again, name="iter_threaded", daemon=True).start()
print(*found)
"""


def test_ray_stays_until_the_threads_of_its_streams_have_ended_for_it_ends_the_process_if_they_ask_it_later(
    ray_of_the_session,
):
    command = [sys.executable, "-c", A_THREAD_ASKS_AGAIN, ray_of_the_session.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
