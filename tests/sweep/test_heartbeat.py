"""Dead and live processes, on this and on other machines."""

import json
import subprocess
import sys
import time

from fer.sweep import study
from fer.sweep.study import is_dead, repeat, this_process

PRINT_PROCESS = """
import json, time
from fer.sweep.study import this_process
print(json.dumps(this_process()), flush=True)
time.sleep(60)
"""


def test_local_process_is_looked_up():
    child = subprocess.Popen([sys.executable, "-c", PRINT_PROCESS], stdout=subprocess.PIPE, text=True)
    owner = json.loads(child.stdout.readline())
    assert not is_dead(owner, silence=1e9)  # it is visible, so its heartbeat does not matter
    child.kill()
    time.sleep(0.2)
    assert is_dead(owner, silence=0.0)  # still a zombie
    child.wait()
    assert is_dead(owner, silence=0.0)


def test_reused_process_number_is_another_process():
    assert is_dead(this_process() | {"start": 1}, silence=0.0)
    assert not is_dead(this_process(), silence=1e9)


def test_process_of_another_machine_is_judged_by_its_heartbeat():
    elsewhere = this_process() | {"place": "another machine"}
    assert not is_dead(elsewhere, study.GRACE_SECONDS - 5)
    assert is_dead(elsewhere, study.GRACE_SECONDS + 5)
    assert is_dead(None, study.GRACE_SECONDS + 5)


def test_heartbeat_continues_after_an_error():
    beats = []

    def beat():
        beats.append(len(beats))
        raise OSError("the storage is unreachable")

    with repeat(beat, 0.01):
        deadline = time.monotonic() + 10
        while len(beats) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(beats) >= 3
    count = len(beats)
    time.sleep(0.05)
    assert len(beats) == count
