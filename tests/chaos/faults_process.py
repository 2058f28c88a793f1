"""Broker and workers are killed, stopped, slowed down and terminated."""
import signal
import time

from check import holes_filled
from cluster import GRACE_S, LEASE_S, free_port, poll
from scene import fault


@fault("F1", "a worker is killed (-9) in mid-batch", 5, short=True)
def worker_killed(s):
    c, i = s.cluster, s.rng.randrange(len(s.cluster.workers))
    at = time.time()
    c.workers[i].kill()
    c.start_worker(i)
    time.sleep(6)
    again = holes_filled(c, at, s.first)
    s.notes.append(f"its batches done by others after {again:.2f} s")
    s.check(again <= 5.5, f"its batches were done only {again:.1f} s later")
    return at


@fault("F2", "a worker is killed and started again, over and over", keeps=0.85)
def worker_kill_loop(s):
    c, pause, start = s.cluster, s.seconds(4, 20), time.time()
    for i in range(s.seconds(3, 6)):
        c.workers[i % len(c.workers)].kill()
        c.start_worker(i % len(c.workers))
        time.sleep(pause)
    if s.long:
        s.check(s.share_kept(start) >= 0.95, "less than 95 % of the clean rate with a kill every 20 s")
    failures = c.one(f"select count(*) from millrace.attempt_failure where run_id >= {s.first}")
    s.check(failures == "0", f"kills were booked as {failures} failed attempts")
    return time.time()


def strike_broker(s, when):
    c = s.cluster
    for _ in range(s.seconds(2, 6)):
        c.pg.arm(when, "results", c.broker.kill)
        s.check(c.pg.struck.wait(10), "no group was committed within 10 s")
        at = time.time()
        c.start_broker()
        time.sleep(s.rng.uniform(1, 2))
    s.notes.append(f"{s.seconds(2, 6)} strikes")
    return at


@fault("F3", "the broker is killed between a result and its COMMIT", short=True)
def broker_killed_before_commit(s):
    return strike_broker(s, "before")


@fault("F4", "the broker is killed between COMMIT and the acknowledgement", short=True)
def broker_killed_after_commit(s):
    return strike_broker(s, "after")


@fault("F5", "the broker is killed at random moments")
def broker_killed(s):
    c, n = s.cluster, s.seconds(3, 10)
    for _ in range(n):
        time.sleep(s.rng.uniform(0.2, 2.0))
        c.broker.kill()
        at = time.time()
        c.start_broker()
    s.notes.append(f"{n} kills")
    return at


@fault("F18", "a worker is stopped, thought lost, and goes on", short=True)
def worker_stopped(s):
    c, worker = s.cluster, s.cluster.workers[s.rng.randrange(len(s.cluster.workers))]
    before, at = c.broker.rss_mb(), time.time()
    worker.signal(signal.SIGSTOP)
    time.sleep(s.seconds(6, 60))
    again = holes_filled(c, at, s.first)
    s.notes.append(f"its batches done by others after {again:.2f} s")
    s.check(again <= 5.5, f"its batches were done only {again:.1f} s later")
    worker.signal(signal.SIGCONT)
    s.none_ended()
    grown = c.broker.rss_mb() - before
    s.check(grown < 200, f"the broker grew by {grown} MiB")
    return time.time()


@fault("F19", "a worker is ten times slower than the others", keeps=0.70)
def worker_slow(s):
    c, worker = s.cluster, s.cluster.workers[s.rng.randrange(len(s.cluster.workers))]
    until = time.time() + s.seconds(8, 30)
    while time.time() < until:
        worker.signal(signal.SIGSTOP)
        time.sleep(0.18)
        worker.signal(signal.SIGCONT)
        time.sleep(0.02)
    return time.time()


@fault("F31", "SIGTERM under load: worker and broker finish or release, and exit 0", short=True)
def terminated(s):
    c, i = s.cluster, s.rng.randrange(len(s.cluster.workers))
    start = time.time()
    status = c.workers[i].term(GRACE_S + 2)
    s.check(status == 0, f"the worker's exit status is {status}")
    s.notes.append(f"worker {time.time() - start:.1f} s")
    c.start_worker(i)
    start = time.time()
    status = c.broker.term(GRACE_S + 2)
    s.check(status == 0, f"the broker's exit status is {status}")
    s.notes.append(f"broker {time.time() - start:.1f} s")
    at = time.time()
    c.start_broker()
    return at


def change_broker(s, folder):
    c = s.cluster
    status = c.broker.term(GRACE_S + 2)
    s.check(status == 0, f"the broker's exit status is {status}")
    c.broker = c.make_broker("chaos", c.port, c.url(), folder)
    poll(10, "the broker serves", c.answers)
    at = time.time()
    time.sleep(s.seconds(4, 20))
    s.none_ended()
    return at


def change_workers(s, which, folder):
    for i in which:
        status = s.cluster.workers[i].term(GRACE_S + 2)
        s.check(status == 0, f"a worker's exit status is {status}")
        s.cluster.start_worker(i, folder)
    time.sleep(s.seconds(4, 20))
    s.none_ended()


def whole_run(s):
    """Each pairing of old and new does one run of real components from its beginning to its end: a run is of the version
    that its components had when it was planned, and waits for a worker that has it."""
    run = s.producer.submit("real")
    s.check(run, "no run of real components was accepted")
    poll(60, "the run of real components ends",
         lambda: s.cluster.one(f"select count(*) from millrace.run_end where run_id = {run or 0}") == "1")


@fault("F32", "a migration under the old programs; old workers with the new broker, new ones with the old; and back",
       keeps=0.8)
def other_build(s):
    c = s.cluster
    if c.folder != c.old:
        return s.skip("the database has the new schema already")
    s.producer.mixed = False
    version = "select max(version) from public.millrace_migration"
    before = c.one(version)
    done = c.millrace("migrate", "up", folder=c.bin)
    s.check(done.returncode == 0, f"migrate up while the old broker serves: {done.stderr.strip()}")
    s.notes.append(f"schema {before} to {c.one(version)} under load")
    time.sleep(s.seconds(4, 20))
    s.none_ended()
    whole_run(s)
    change_workers(s, (0, 1), c.bin)   # new workers, old broker
    whole_run(s)
    change_broker(s, c.bin)            # both kinds of workers, new broker
    whole_run(s)
    change_workers(s, (2, 3), c.bin)
    whole_run(s)
    change_broker(s, c.old)            # the step back: the old broker over the new schema
    whole_run(s)
    at = change_broker(s, c.bin)
    s.producer.mixed = True
    c.folder = c.bin
    failures = c.one(f"select count(*) from millrace.attempt_failure where run_id >= {s.first}")
    s.check(failures == "0", f"{failures} attempts failed")
    return at


@fault("F33", "a broker is paused beyond its lease while another takes over, and goes on", 15)
def broker_paused(s):
    c, old = s.cluster, s.cluster.broker
    c.pg.stall(down=False)  # a group of results that it sent is on the way until another holds the lease
    time.sleep(0.5)
    old.signal(signal.SIGSTOP)
    time.sleep(LEASE_S + 1)
    second = type(c.pg)(c.pg.target)
    old_port, url = c.port, c.url()
    c.port = free_port()
    c.broker = c.make_broker("chaos-second", c.port, url.replace(str(c.pg.port), str(second.port)))
    poll(10, "the second broker serves", c.answers)
    for link in c.links:
        link.target = c.port
        link.cut()
    at, before, rejected = time.time(), c.pg.commits, c.pg.rejected
    c.pg.heal()
    time.sleep(2)
    old.signal(signal.SIGCONT)
    poll(LEASE_S + GRACE_S, "the paused broker has its share again", lambda: c.one(
        "select count(*) from millrace.partition_lease where owner = 'chaos' and expires_at > now()") == "8")
    late = c.pg.commits - before
    s.check(not late, f"the paused broker committed {late} groups after it lost its lease")
    s.check(c.pg.rejected > rejected, "no group of the paused broker came late, so nothing was shown")
    status = old.term(GRACE_S + 2)
    s.check(status == 0, f"the paused broker, which had gone on, ended with {status}")
    s.notes.append(f"{c.pg.rejected - rejected} late groups rejected; it had its share again")
    time.sleep(2)
    status = c.broker.term(GRACE_S + 2)
    s.check(status == 0, f"the second broker's exit status is {status}")
    second.close()
    c.port = old_port
    for link in c.links:
        link.target = c.port
        link.cut()
    c.start_broker()
    return max(at, time.time())
