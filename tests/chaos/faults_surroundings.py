"""Stored bytes that change by themselves."""
import hashlib
import time

from cluster import poll
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
