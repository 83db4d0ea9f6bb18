"""What the Python clients have in common: cells in, outcomes out. The README beside the clients has the words."""

import platform
import sys
import traceback


class Lacks(Exception):
    """The client has no such thing, whatever the other side offers."""


def records(cell, begin, end):
    """Yields partition, key, value and headers of the records begin..end of each partition."""
    for i in range(begin, end):
        for p in range(int(cell["partitions"])):
            key = None if i % 10 == 7 else b"k-%d-%d" % (p, i)
            value = None if i % 10 == 3 else b"v-%d-%d-" % (p, i) + b"abcdefgh" * 16
            yield p, key, value, [("a", b"%d-%d" % (p, i)), ("b", b"\x00\xff\x7f"), ("c", b"")]


def halves(cell):
    """Yields the ranges of records to send, with an outage between them when the cell has one."""
    n = int(cell["records"])
    if cell["outage"] != "true":
        yield 0, n
        return
    yield 0, n // 2
    print("half", flush=True)
    sys.stdin.readline()
    yield n // 2, n


def serve(name, version, run):
    """Runs the cells of standard input; run returns how many records were acked."""
    print("hello", name, version, "Python " + platform.python_version(), sep="\t", flush=True)
    while line := sys.stdin.readline():
        cell = dict(f.split("=", 1) for f in line.rstrip("\n").split("\t"))
        try:
            print("done", run(cell), sep="\t", flush=True)
        except Lacks as e:
            print("lacks", e, sep="\t", flush=True)
        except Exception as e:
            traceback.print_exc()
            print("failed", " ".join((type(e).__name__ + ": " + str(e)).split()), sep="\t", flush=True)
