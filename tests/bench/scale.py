"""Much of everything: millions of batches that wait, and workers that have nothing to do. Only on demand."""
import json
import subprocess
import sys
import time

from measures import measure, submit
from rig import TREE, Failed, processor_us, rss_mb

ALL = 10_000_000


def waiting(b, runs, count):
    """Plans up to `count` runs of one batch a row, while their component is paused; the seconds that the new ones took."""
    start = time.monotonic()
    while len(runs) < count:
        runs.append(submit(b, b.version, 1, "column_means"))
    return time.monotonic() - start


def rate(b, seconds):
    """Batches committed a second while so much waits."""
    b.cluster.call("resume", "component", "column_means")
    time.sleep(0.5)
    first, start = b.cluster.status()["totals"]["committed"], time.monotonic()
    time.sleep(seconds)
    last, end = b.cluster.status()["totals"]["committed"], time.monotonic()
    b.cluster.call("pause", "component", "column_means")
    if last == first:
        raise Failed("nothing is committed while much waits")
    return (last - first) / (end - start)


@measure("scale", extra=True)
def scale(b):
    """Ten million batches planned, waiting, drained for a while, and listed."""
    runs, out = [], {}
    most = ALL // b.rows  # runs, each with a batch a row
    b.cluster.call("pause", "component", "column_means")
    for i, count in enumerate((1, max(2, most // 10), most), 1):
        fresh = (count - len(runs)) * b.rows
        out[f"scale_plan_{i}"] = waiting(b, runs, count) * 1e9 / fresh
        out |= {f"scale_batches_{i}": count * b.rows, f"scale_rate_{i}": rate(b, 2),
                f"scale_rss_{i}": rss_mb(b.cluster.pid("broker"))}
    start = time.monotonic()
    b.cluster.call("runs", "--json")
    out["scale_list"] = (time.monotonic() - start) * 1000
    for run in runs:
        b.cluster.call("cancel", run)
    b.cluster.call("resume", "component", "column_means")
    b.sql.rows("select pg_stat_clear_snapshot()")
    out["scale_dead"] = int(b.sql.one("select sum(n_dead_tup) from pg_stat_user_tables where schemaname = 'millrace'"))
    return out


@measure("scale", extra=True)
def idle(b):
    """A thousand workers that have nothing to do."""
    pid, seconds = b.cluster.pid("broker"), 5

    def used():
        return processor_us({"broker": [pid]})["broker"]

    memory, start = rss_mb(pid), used()
    time.sleep(seconds)
    alone = used() - start
    program = [sys.executable, str(TREE / "tests/bench/idle_workers.py"), str(b.cluster.port), "1000"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as workers:
        if json.loads(workers.stdout.readline() or "0") != 1000:
            raise Failed("the idle workers were not taken")
        start = used()
        time.sleep(seconds)
        together, count = used() - start, b.cluster.status()["workers"]["count"]
        grown = rss_mb(pid) - memory
        workers.stdin.close()
    if count < 1000:
        raise Failed(f"only {count} workers stay")
    return {"idle_us": (together - alone) / seconds, "idle_rss": grown}
