"""What must hold: sets of ids from the producer's log compared with the tables; and rates, from commit times."""
import subprocess
import time

from cluster import Failed


def sets_of(cluster, run):
    """The results of a run: where each belongs, with the hash of its bytes."""
    return frozenset(rows_of(cluster, f"run_id = {run}").get(run, ()))


def rows_of(cluster, where):
    """The results of each run, as a list: the same place may be there twice."""
    found = {}
    for run, *row in cluster.sql("select run_id, step, level, batch, encode(body_hash, 'hex') from millrace.result"
                                 f" where {where}"):
        found.setdefault(int(run), []).append(tuple(row))
    return found


def versions_of(cluster, where):
    """The components of each run with their versions: another version may give other bytes."""
    rows = cluster.sql("select run_id, string_agg(component || ' ' || version, ',' order by step) from millrace.run_step"
                       f" where {where} group by 1")
    return {int(run): text for run, text in rows}


class Audit:
    """Of the runs from `first` on: lost, doubled, and sentences about what is wrong."""

    def __init__(self, cluster, reference, accepted, poisoned, first):
        self.cluster, self.reference = cluster, reference
        self.kinds = {kind for kind, _ in reference}
        self.runs = self.lost = self.doubled = 0
        self.wrong = []
        rows = cluster.sql(f"select id, name from millrace.run where id >= {first}")
        planned = {int(run): name for run, name in rows}
        mine = {run: kind for run, kind in accepted.items() if run >= first}
        for run in mine.keys() - planned.keys():
            self.lost += 1
            self.wrong.append(f"run {run} was accepted and is not there")
        self.runs = len(planned)
        ends = {}
        rows = cluster.sql(f"select run_id, state, reason from millrace.run_end where run_id >= {first}")
        for run, state, reason in rows:
            ends.setdefault(int(run), []).append((state, reason))
        self.rows = rows_of(cluster, f"run_id >= {first}")
        self.versions = versions_of(cluster, f"run_id >= {first}")
        for run, kind in sorted(planned.items()):  # also those whose acceptance nobody heard
            self.end_of(run, kind, ends.get(run, []))
            if kind in self.kinds:
                self.results_of(run, kind)
            elif run in poisoned:
                self.poison_of(run, poisoned[run])
        self.attempts(first)

    def end_of(self, run, kind, ends):
        wanted = "succeeded" if kind in self.kinds else "cancelled" if kind == "cancelled" else "failed"
        if not ends:
            self.lost += 1
            self.wrong.append(f"run {run} has no end")
        elif len(ends) > 1:
            self.doubled += len(ends) - 1
            self.wrong.append(f"run {run} has {len(ends)} ends")
        elif ends[0][0] != wanted:
            self.lost += 1
            self.wrong.append(f"run {run} ({kind}) {ends[0][0]}: {ends[0][1]}")

    def results_of(self, run, kind):
        rows, wanted = self.rows.get(run, []), self.reference.get((kind, self.versions.get(run)))
        if wanted is None:
            self.wrong.append(f"run {run} ({kind}): nobody knows what {self.versions.get(run)} should give")
            return
        found, count = frozenset(rows), len(rows)
        places = {row[:3] for row in found}
        self.doubled += count - len(places)
        missing = {row[:3] for row in wanted} - places
        self.lost += len(missing)
        if missing:
            self.wrong.append(f"run {run}: {len(missing)} results are missing, such as {sorted(missing)[0]}")
        if count != len(places):
            self.wrong.append(f"run {run}: {count - len(places)} results twice")
        if not missing and found != wanted:
            self.lost += len(found ^ wanted)
            self.wrong.append(f"run {run}: {len(found - wanted)} results have other bytes than without faults, such as"
                              f" {min(row[:3] for row in found - wanted)}")

    def poison_of(self, run, cause):
        rows = self.cluster.sql("select status, dead, reason from millrace.attempt_failure"
                                f" where run_id = {run} order by id")
        if not rows or {row[0] for row in rows} != {str(cause)} or [row[1] for row in rows].count("t") != 1:
            self.wrong.append(f"run {run}: its failures are {rows}, not of cause {cause} and one that gives it up")

    def attempts(self, first):
        """A number is one attempt: it has one outcome."""
        again = self.cluster.one(
            "select count(*) from (select attempt from (select run_id, attempt from millrace.result union all"
            " select run_id, attempt from millrace.attempt_failure) a"
            f" where run_id >= {first} group by attempt having count(*) > 1) b")
        if again != "0":
            self.doubled += int(again)
            self.wrong.append(f"{again} attempt numbers have two outcomes")


def commits(cluster, since):
    """The times of the commits of level-0 results since then, in order; [] while the database is away. Not those of
    the hour to come, which are from when its clock was ahead."""
    try:
        rows = cluster.sql("select extract(epoch from committed_at), count(*) from millrace.result"
                           f" where level = 0 and committed_at >= to_timestamp({since})"
                           f" and committed_at < to_timestamp({time.time() + 60}) group by 1 order by 1")
    except (Failed, subprocess.TimeoutExpired):
        return []
    return [(float(at), int(n)) for at, n in rows]


def rate(cluster, start, end):
    return sum(n for at, n in commits(cluster, start) if at < end) / (end - start)


def recovered_at(times, since, wanted, windows=3, step_s=0.1):
    """The first moment from which on each of three seconds holds the wanted rate, or None. One window would not
    do: what was held back comes in one burst."""
    if not times:
        return None
    at, last = since, times[-1][0]
    while at + windows <= last + step_s:
        counts = [sum(n for t, n in times if at + i <= t < at + i + 1) for i in range(windows)]
        if min(counts) >= wanted:
            return at
        at += step_s
    return None


def holes_filled(cluster, at, first):
    """How long after that moment the last of the batches that were out then, and were overtaken, was committed."""
    row = cluster.one(
        "select extract(epoch from max(r.committed_at)) from millrace.result r join (select run_id, max(batch) as top"
        f" from millrace.result where level = 0 and step = 0 and run_id >= {first}"
        f" and committed_at < to_timestamp({at + 0.3}) group by run_id) t using (run_id)"
        f" where r.level = 0 and r.step = 0 and r.batch < t.top"
        f" and r.committed_at >= to_timestamp({at})")
    return float(row) - at if row else 0.0
