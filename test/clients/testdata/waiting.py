"""What the scripts of this folder share: they are given a worker's URL, a topic that holds lines, and a file."""

import json
import sys
import time

URL, TOPIC, FILE = sys.argv[1:4]


def config(name, **more):
    return {"name": name, "connector.class": "FileStreamSink", "tasks.max": "2", "topics": TOPIC, "file": FILE, **more}


def eventually(what, condition, within=30):
    """Waits until condition gives something true, and gives that."""
    deadline = time.monotonic() + within
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            sys.exit(f"never: {what}")
        time.sleep(0.1)


def equal(got, want):
    if got != want:
        sys.exit(f"got  {json.dumps(got, default=str)}\nwant {json.dumps(want, default=str)}")


def lines():
    with open(FILE) as f:
        return f.read().split()
