"""The drain at full speed while something ends in the middle of it, in turn broker and worker (SIGKILL), PostgreSQL (its log writer
by SIGKILL, so that the server ends all backends and recovers) and the broker's connections. Only on demand: `--only killed`, with
as many rounds as wanted. tests/chaos kills under a steady load of slow batches; here thousands of results are under way at any
moment, and go in groups of thousands."""
import os
import random
import signal
import time

from measures import BATCH, FIGURES, Figure, check_drain, ends, measure, submit
from rig import Failed, Sql, poll

RUNS = 16
FIGURES |= {
    "killed_clean": Figure("/s", "drain, undisturbed", (), True),
    "killed": Figure("/s", "the same, with a kill in the middle", ("killed_clean",), True),
}


def kill_broker(b):
    os.kill(b.cluster.pid("broker"), signal.SIGKILL)
    b.cluster.processes.pop("broker").wait()
    b.cluster.start_broker()


def kill_worker(b):
    name = random.choice([n for n in b.cluster.processes if n.startswith("worker")])
    process = b.cluster.processes.pop(name)
    process.kill()
    process.wait()
    b.cluster.launch(name, process.args)


def answers(b):
    try:
        b.cluster.sql = b.sql = Sql(b.cluster.url)
        return b.sql.one("select 1") == "1"
    except (Failed, OSError):
        return False


def kill_postgres(b):
    """Its log writer, as any process that dies so makes the server recover from its log."""
    pid = int(b.sql.one("select pid from pg_stat_activity where backend_type = 'walwriter'"))
    os.kill(pid, signal.SIGKILL)
    poll(60, "PostgreSQL recovers", lambda: answers(b), 0.1)


def cut_connections(b):
    b.sql.rows("select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('ledger', 'loader', 'planner')")


STRIKES = (kill_broker, kill_worker, kill_postgres, cut_connections)


def await_some(b, before, count):
    """Until a random part of `count` results is committed."""
    some = random.uniform(0.05, 0.6) * count
    poll(60, f"{some:.0f} results are committed", lambda: b.cluster.status()["totals"]["committed"] - before >= some, 0.002)


def drain(b, strike=None):
    """Tasks a second of some runs; every result of each is there once, and means are computed again."""
    b.cluster.call("pause", "component", "column_means")
    runs = [submit(b, b.version, BATCH, "column_means") for _ in range(RUNS)]
    count, before = RUNS * -(-b.rows // BATCH), b.cluster.status()["totals"]["committed"]
    start = time.monotonic()
    b.cluster.call("resume", "component", "column_means")
    if strike:
        await_some(b, before, count)
        strike(b)
    ends(b, runs, 120)
    seconds = time.monotonic() - start
    for run in runs:
        check_drain(b, run, BATCH)
    failed = b.sql.rows(f"select status, reason from millrace.attempt_failure where run_id in ({','.join(map(str, runs))})")
    if failed:
        raise Failed(f"an attempt counts as failed though nothing was wrong with it: {failed[0]}")
    return count / seconds


@measure("killed", extra=True)
def killed(b):
    """The drain at full speed with a kill in the middle: nothing is lost, nothing is there twice."""
    random.seed(b.round)
    return {"killed_clean": drain(b), "killed": drain(b, STRIKES[b.round % len(STRIKES)])}
