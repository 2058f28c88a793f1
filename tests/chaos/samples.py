"""Memory, descriptors and dead rows while a long run lasts, and whether they stay flat."""
import os
import pathlib
import threading
import time

EVERY_S = 10
GROW_SHARE = 0.25   # of what the first third had, and
GROW = {"mib": 16, "files": 24, "rows": 2000}  # this much more, may the last third have: what is above is growth
WARM_S = 60         # of each process: caches fill


def words_of(pid):
    return (pathlib.Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def anonymous_mib(pid):
    """Without what is mapped from files or shared: PostgreSQL's buffers would count once for each backend."""
    with open(f"/proc/{pid}/status") as lines:
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def slope_per_hour(points):
    """Least squares over (seconds, value)."""
    n = len(points)
    mean_t, mean_v = sum(t for t, _ in points) / n, sum(v for _, v in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (v - mean_v) for t, v in points) / spread * 3600 if spread else 0.0


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


class Sampler(threading.Thread):
    """Samples are [seconds, pid, value] by what is measured. Only ours: processes that carry the run's mark."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.start_at = time.monotonic()
        self.born = {}
        self.series = {}
        self.ended = threading.Event()

    def put(self, name, unit, pid, value):
        at = round(time.monotonic() - self.start_at, 1)
        first = self.born.setdefault((name, pid), at)
        if pid == 0 or at - first >= WARM_S:
            self.series.setdefault((name, unit), []).append([at, pid, round(value, 2)])

    def processes(self):
        ours = [("broker", self.cluster.broker), *((f"worker {i}", w) for i, w in list(self.cluster.workers.items()))]
        for name, process in ours:
            if process and process.alive():
                self.put(name, "mib", process.pid, anonymous_mib(process.pid))
                self.put(name, "files", process.pid, len(os.listdir(f"/proc/{process.pid}/fd")))
        compute, servers = 0.0, 0.0
        for pid, words in self.cluster.strays():
            try:
                if "compute" in words:
                    compute += anonymous_mib(pid)
                elif "postgres" in words or "redis" in words:
                    servers += anonymous_mib(pid)
            except OSError:
                continue
        self.put("all compute processes", "mib", 0, compute)
        self.put("PostgreSQL and Redis", "mib", 0, servers)

    def dead_rows(self):
        rows = self.cluster.sql("select coalesce(sum(n_dead_tup), 0) from pg_stat_user_tables")
        self.put("dead rows", "rows", 0, float(rows[0][0]))

    def run(self):
        while not self.ended.wait(EVERY_S):
            for sample in (self.processes, self.dead_rows):
                try:
                    sample()
                except Exception:  # what is measured is being killed; the next sample will do
                    continue

    def judged(self):
        """A row for each series. Flat: the median of the last third is not above that of the first by more than a
        quarter and a constant. Processes come and go, so the longest life is told besides."""
        out = []
        for (name, unit), points in sorted(self.series.items()):
            third = len(points) // 3
            if third < 3:
                continue
            first, last = (median([p[2] for p in part]) for part in (points[:third], points[-third:]))
            lives = {}
            for at, pid, value in points:
                lives.setdefault(pid, []).append((at, value))
            longest = max(lives.values(), key=lambda life: life[-1][0] - life[0][0])
            out.append({"what": name, "unit": unit, "samples": len(points), "first": first, "last": last,
                        "most": max(p[2] for p in points),
                        "per_hour": round(slope_per_hour([(at, value) for at, _, value in points]), 2),
                        "longest_life_s": round(longest[-1][0] - longest[0][0]),
                        "longest_life_grew": round(longest[-1][1] - longest[0][1], 2),
                        "flat": last <= first * (1 + GROW_SHARE) + GROW[unit]})
        return out
