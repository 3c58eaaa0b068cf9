"""What travels to other processes, and what is told of that which cannot."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ray import cloudpickle

from cluster.carried import carry
from cluster.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


class Counts:
    def __init__(self, start):
        self.value = start

    def up(self):
        self.value += 1
        return self.value


class Holds:
    def __init__(self, held):
        self.name, self.held = "a lock", held


def test_a_class_that_no_other_process_can_import_works_there():
    carried = carry(Counts(4), "the counter")
    program = (
        "import sys, pickle\n"
        "carried = pickle.loads(sys.stdin.buffer.read())\n"
        "assert carried.get() is carried.get()\n"
        "print(carried.get().up(), carried.get().up(), type(carried.get()).__name__)\n"
    )
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], input=cloudpickle.dumps(carried), capture_output=True, env=surroundings
    )
    assert done.stdout.split() == [b"5", b"6", b"Counts"], done.stderr.decode()


def test_what_cannot_travel_is_named_with_its_attribute():
    with pytest.raises(UserError, match=r"the callback cannot be sent .*'held' holds a lock"):
        carry(Holds(threading.Lock()), "the callback")


def test_the_digest_is_that_of_the_code_and_not_of_what_it_holds():
    assert carry(Counts(1), "a").digest == carry(Counts(2), "b").digest != carry(Holds(1), "a").digest
