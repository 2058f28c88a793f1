"""Clocks jump, and stored bytes change by themselves."""
import hashlib
import time

import wire
from cluster import Producer, poll
from scene import fault

FLIP = "set_byte({0}, length({0}) / 2, get_byte({0}, length({0}) / 2) # 16)"


def flip_partials(s, n):
    """Of runs that go on: some of these partials are read by a merge that is still to come."""
    return s.cluster.sql(
        f"update millrace.result set body = {FLIP.format('body')} where (run_id, step, level, batch) in"
        " (select r.run_id, r.step, r.level, r.batch from millrace.result r where not r.last and length(r.body) > 0"
        f" and r.run_id >= {s.first} and not exists (select 1 from millrace.run_end e where e.run_id = r.run_id)"
        " and (r.run_id, r.step, r.level, r.batch) not in (select run_id, step, level, batch from millrace.damaged)"
        f" order by r.committed_at desc limit {n}) returning run_id")


def flip_results(s, n):
    """Of runs that have ended."""
    return s.cluster.sql(
        f"update millrace.result set body = {FLIP.format('body')} where (run_id, step, level, batch) in"
        f" (select run_id, step, level, batch from millrace.result where last and run_id >= {s.first}"
        f" order by random() limit {n}) returning run_id")


def flip_artifacts(s, n):
    return s.cluster.sql(
        f"with a as (update millrace.artifact set bytes = {FLIP.format('bytes')} where hash in (select distinct hash"
        f" from millrace.run_artifact where run_id >= {s.first} limit {n}) returning hash)"
        " select max(n.run_id) from millrace.run_artifact n join a using (hash) group by a.hash")


def wrong_bytes(cluster, run):
    """How many of a run's stored results and artifacts do not match their hash, by another implementation of it."""
    rows = cluster.sql(f"select encode(body, 'hex'), encode(body_hash, 'hex') from millrace.result where run_id = {run}"
                       " union all select encode(bytes, 'hex'), encode(hash, 'hex') from millrace.artifact join"
                       f" millrace.run_artifact using (hash) where run_id = {run}")
    return sum(hashlib.blake2b(bytes.fromhex(body), digest_size=32).hexdigest() != want for body, want in rows)


def all_ended(s):
    query = (f"select count(*) from millrace.run r where id >= {s.first} and not exists"
             " (select 1 from millrace.run_end e where e.run_id = r.id)")
    poll(90, "all runs end", lambda: s.cluster.one(query) == "0", 0.2)


@fault("F36", "a bit flips in stored partials, results and artifacts", short=True, keeps=0.8)
def bits_flip(s):
    c, runs = s.cluster, set()
    s.producer.submit("real")
    until, flipped = time.time() + s.seconds(6, 60), 0
    while time.time() < until:
        found = flip_partials(s, 3)
        flipped += len(found)
        runs |= {row[0] for row in found}
        time.sleep(0.3)
    healed = time.time()
    live = int(c.one(f"select count(*) from millrace.damaged where run_id >= {s.first}"))
    s.check(live, "no merge met a damaged partial")
    s.producer.running.clear()
    all_ended(s)
    found = flip_results(s, 3) + flip_artifacts(s, 2)
    runs |= {row[0] for row in found}
    s.notes.append(f"{flipped} partials flipped, {live} found by merges; {len(found)} results and artifacts flipped")
    for run in sorted(runs, key=int):
        done = c.millrace("repair", "run", run)
        s.check(done.returncode == 0, f"repair run {run}: {done.stderr.strip()}")
    all_ended(s)
    left = {run: wrong_bytes(c, run) for run in runs}
    s.check(not any(left.values()), f"bytes that do not match their hash are left: {left}")
    rows = c.sql(f"select again, count(*) from millrace.damage where run_id >= {s.first} group by 1")
    s.notes.append("computed again: " + ", ".join(f"{n} {again}" for again, n in rows))
    s.check({row[0] for row in rows} == {"same bytes"}, f"computed again: {rows}")
    s.producer.running.set()
    return healed


# ---- clocks ----

HOUR = 3600


def add_schedule(s, **when):
    components, batch = Producer.KINDS["small"]
    run = {"components": components, "batch_size": batch, "seed": 7, "name": "small"}
    with wire.Client(s.cluster.port) as client:
        status, answer = client.call("schedule_add", run=run, **when)
    s.check(status == 0, f"schedule_add: {answer}")
    return answer["schedule"] if status == 0 else 0


def end_schedules(s, ids):
    with wire.Client(s.cluster.port) as client:
        for one in ids:
            client.call("schedule_remove", id=one)


def done_batches(s):
    return int(s.cluster.one(f"select count(*) from millrace.result where level = 0 and run_id >= {s.first}"))


def log_count(s, event):
    return (s.cluster.scratch / "broker.log").read_text(errors="replace").count(event)


def check_clock(s, who, hours):
    """That it really jumped: as the database says itself, or as the broker says in `doctor`."""
    if who == "database":
        ahead = float(s.cluster.one("select extract(epoch from clock_timestamp())")) - time.time()
        s.check(abs(ahead - hours * HOUR) < 60, f"the database's clock is {ahead:.0f} s ahead, not {hours} h")
    if who == "broker":
        with wire.Client(s.cluster.port) as client:
            _, answer = client.call("doctor")
        clock = next(row for row in answer["checks"]["rows"] if row[0] == "clock")
        s.check(clock[1] == (hours == 0), f"doctor of the broker whose clock is {hours} h ahead: {clock}")


@fault("F24", "the clocks of broker, workers and database jump by an hour, ahead and back")
def clocks_jump(s):
    c = s.cluster
    if not c.clock_env("broker"):
        return s.skip("there is no libchaos-clock.so")
    lost, wait_s = log_count(s, "worker_lost"), s.seconds(2.5, 15)
    often = add_schedule(s, every="3 seconds")
    once = add_schedule(s, at="+30 minutes")
    before, start, moves = done_batches(s), time.monotonic(), 0
    for who in ("broker", "w0", "w1", "database"):
        for hours in (1, -1, 1, 0):
            c.move_clock(who, hours * HOUR)
            moves += who == "database"
            time.sleep(wait_s)
            check_clock(s, who, hours)
    took = time.monotonic() - start
    share = (done_batches(s) - before) / took / s.base
    s.notes.append(f"{share:.0%} of the clean rate meanwhile")
    s.check(share >= 0.85, f"only {share:.0%} of the clean rate while clocks jumped")
    s.none_ended()
    time.sleep(4)  # the schedule goes on as before
    end_schedules(s, (often, once))
    failures = c.one(f"select count(*) from millrace.attempt_failure where run_id >= {s.first}")
    s.check(failures == "0", f"{failures} attempts failed")
    expired = log_count(s, "worker_lost") - lost
    s.check(expired == 0, f"{expired} workers were thought lost")
    fires = dict(c.sql("select schedule_id, count(*) from millrace.schedule_fire group by 1"))
    doubled = c.one("select count(*) from (select run_id from millrace.schedule_fire where run_id is not null"
                    " group by 1 having count(*) > 1) a")
    s.check(fires.get(str(once)) == "1" and doubled == "0", f"the single time fired {fires.get(str(once))} times")
    often_n, most = int(fires.get(str(often), 0)), took / 3 + moves + 4
    s.check(3 <= often_n <= most, f"the time of every 3 s fired {often_n} times in {took:.0f} s")
    s.notes.append(f"schedules fired 1 and {often_n} times, {expired} workers thought lost, {failures} failed attempts")
    return time.time()
