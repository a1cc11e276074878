"""What the children in these tests do; children import it by this name."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np


def add(one, other):
    return one + other


def speak(words):
    sys.stdout.write(words + "\n")
    subprocess.run([sys.executable, "-c", f"print({words!r})"], check=True)
    return words


def fail(error):
    raise error


def sleep(seconds):
    time.sleep(seconds)


def sleep_beside_a_helper(file):
    """Leave the number of a helper process in a file, then hang."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    file.write_text(str(helper.pid))
    time.sleep(600)


TIDY_HELPER = """
import pathlib, signal, sys, time
def tidy(*_):
    pathlib.Path(sys.argv[1]).write_text("tidied up")
    sys.exit()
signal.signal(signal.SIGTERM, tidy)
pathlib.Path(sys.argv[1]).write_text("at work")
time.sleep(600)
"""


def sleep_beside_a_tidy_helper(file):
    """Hang beside a helper that leaves a word when it is asked to end."""
    subprocess.Popen([sys.executable, "-c", TIDY_HELPER, str(file)])
    while not file.exists():
        time.sleep(0.01)
    time.sleep(600)


def ignore_signals_and_sleep():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def allocate(gigabytes):
    return float(np.ones(int(gigabytes * 2**27)).sum())


def crash():
    ctypes.string_at(0)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def leave(code):
    os._exit(code)


def name_group():
    return os.getpid(), os.getpgrp(), os.getsid(0)


def import_module(name):
    return __import__(name).ANSWER


def share_work(jobs):
    """Processes that did parts of the work, by joblib's workers inside the child."""
    import joblib

    with joblib.parallel_config(backend="loky", n_jobs=jobs):
        return joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(4)), os.getpid()


def size_of(content):
    return len(content), content
