"""Much of everything: millions of batches that wait, and workers that have nothing to do. Only on demand."""
import json
import subprocess
import sys
import time

from measures import ends, measure, submit
from rig import TREE, Failed, poll, processor_us, rss_mb

def rate(b, count):
    """Batches committed a second while `count` wait; half of them, or a hundred thousand, are."""
    def committed():
        return b.cluster.status()["totals"]["committed"]

    first, start, enough = committed(), time.monotonic(), min(count // 2, 100_000)
    b.cluster.call("resume", "component", "column_means")
    poll(60, f"{enough} batches are committed", lambda: committed() - first >= enough)
    last, end = committed(), time.monotonic()
    b.cluster.call("pause", "component", "column_means")
    return (last - first) / (end - start)


def waiting(b, count):
    """Plans one run of `count` batches while their component is paused; the seconds that it took."""
    version, start = b.version_of(count), time.monotonic()
    return submit(b, version, 1, "column_means"), time.monotonic() - start


@measure("scale", extra=True)
def scale(b):
    """One run of many batches of a row each planned, waiting, drained for a while, and listed. The cache of inputs is as
    small as it can be: it fills up with what was drained, and is not what is measured."""
    counts, out = (100_000, b.size.wide // 5, b.size.wide), {}
    for count in counts:  # from small to large, as each is made from the one before
        b.version_of(count)
    b.cluster.restart_broker(MILLRACE_SEGMENT_CACHE_MB="1")
    ends(b, [submit(b, b.version_of(counts[0]), 1, "column_means")])  # what a drain needs is there now
    b.cluster.call("pause", "component", "column_means")
    for i, count in enumerate(counts, 1):
        run, seconds = waiting(b, count)
        out |= {f"scale_batches_{i}": count, f"scale_plan_{i}": seconds * 1e9 / count, f"scale_rate_{i}": rate(b, count),
                f"scale_rss_{i}": rss_mb(b.cluster.pid("broker"))}
        start = time.monotonic()
        b.cluster.call("runs", "--json")
        out["scale_list"] = (time.monotonic() - start) * 1000
        b.cluster.run_cli("cancel", run)  # a small one has ended
    b.cluster.call("resume", "component", "column_means")
    b.cluster.restart_broker()
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
