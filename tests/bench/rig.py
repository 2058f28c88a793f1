"""One private cluster for the bench: PostgreSQL and Redis of deploy/services with their stock settings, a broker and
four workers, and what they used: processor time of each kind of process, bytes on the wire, bytes of the log."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
WORKERS = 4
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something did not start, did not end in time, or gave a wrong answer."""


def poll(seconds, what, fn, every=0.02):
    until = time.monotonic() + seconds
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > until:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(every)


def stat_of(pid):
    """Parent, and processor time in microseconds, that of children it waited for included."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return int(fields[1]), sum(map(int, fields[11:15])) * TICK_US


def processor_us(roots):
    """For each name in `roots` (name: pids) what those processes and all below them have used up to now."""
    parent, used = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent[int(entry)], used[int(entry)] = stat_of(entry)
            except (OSError, IndexError):
                continue
    total = {}
    for name, pids in roots.items():
        inside = set(pids)
        grown = True
        while grown:
            more = {pid for pid, up in parent.items() if up in inside} - inside
            grown = bool(more)
            inside |= more
        total[name] = sum(used.get(pid, 0) for pid in inside)
    return total


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


class Sql:
    """One psql that stays, so that a question costs no start of a process."""

    def __init__(self, url):
        argv = ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", url]
        self.psql = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     text=True)

    def rows(self, text):
        self.psql.stdin.write(text.rstrip("; \n") + ";\n\\echo end of answer\n")
        self.psql.stdin.flush()
        rows = []
        for line in self.psql.stdout:
            if line == "end of answer\n":
                return rows
            rows.append(line.rstrip("\n").split("\t"))
        raise Failed("psql: " + self.psql.stderr.read().strip())

    def one(self, text):
        return self.rows(text)[0][0]

    def close(self):
        self.psql.stdin.close()
        self.psql.wait(10)


class Cluster:
    def __init__(self, bin_dir):
        self.bin = pathlib.Path(bin_dir)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
        self.scratch.chmod(0o755)
        self.home = self.scratch / "home"
        self.processes = {}
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        self.env = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
        self.env |= {"HOME": str(self.scratch), "MILLRACE_BROKER": f"tcp://127.0.0.1:{self.port}"}
        self.sql = None

    def start(self):
        done = subprocess.run([TREE / "deploy/services", "start", self.home], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise Failed("the services do not start: " + done.stderr.strip())
        self.env |= dict(line.split("=", 1) for line in done.stdout.split())
        self.url = self.env["MILLRACE_DATABASE_URL"]
        self.call("migrate", "up")
        self.sql = Sql(self.url)
        self.start_broker()

    def start_broker(self, **env):
        self.launch("broker", [self.bin / "millrace-broker", "--listen", self.env["MILLRACE_BROKER"], "--name", "bench"],
                    **env)
        poll(20, "the broker serves", lambda: self.run_cli("status", "--json").returncode == 0)

    def start_workers(self, count=WORKERS, **env):
        for i in range(count):
            self.launch(f"worker-{i}", [self.bin / "millrace-worker-bench", "--name", f"w{i}"], **env)
        poll(20, "the workers are there", lambda: self.status()["workers"]["count"] == count)

    def restart_broker(self, **env):
        """What it keeps in memory is gone; the workers find it again."""
        count = sum(name.startswith("worker") for name in self.processes)
        self.end("broker")
        self.start_broker(**env)
        poll(30, "the workers are back", lambda: self.status()["workers"]["count"] == count)

    def stop_workers(self):
        for name in [n for n in self.processes if n.startswith("worker")]:
            self.end(name)

    def launch(self, name, argv, **env):
        with open(self.scratch / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                    env=self.env | env)

    @contextlib.contextmanager
    def with_keys(self):
        """Broker and workers started again with keys, for as long as the context lasts: everything is CURVE."""
        keys = self.scratch / "keys"
        plain = self.env
        self.stop_workers()
        self.end("broker")
        if not keys.exists():
            for name, role in (("admin", "admin"), ("worker", "worker")):
                self.call("keys", "create", name, "--role", role, "--folder", keys)
        server = re.search(r"^public (\S+)", (keys / "server.key").read_text(), re.MULTILINE)[1]
        self.env = plain | {"MILLRACE_KEY_FILE": str(keys / "admin.key"), "MILLRACE_SERVER_KEY": server}
        try:
            self.start_broker(MILLRACE_SERVER_KEY_FILE=str(keys / "server.key"), MILLRACE_ALLOW_FILE=str(keys / "allowed"))
            self.start_workers(MILLRACE_KEY_FILE=str(keys / "worker.key"))
            yield
        finally:
            self.stop_workers()
            self.end("broker")
            self.env = plain
            self.start_broker()
            self.start_workers()

    def end(self, name):
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run_cli(self, *argv):
        return subprocess.run([self.bin / "millrace", *map(str, argv)], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def call(self, *argv):
        """What the CLI printed; with --json as a value."""
        done = self.run_cli(*argv)
        if done.returncode:
            raise Failed(f"millrace {' '.join(map(str, argv[:4]))}: {done.stderr.strip()}")
        return json.loads(done.stdout) if "--json" in argv else done.stdout

    def status(self):
        return self.call("status", "--json")

    def pid(self, name):
        return self.processes[name].pid

    def roots(self):
        postgres = int((self.home / "run/postgres.pid").read_text().split()[0])
        return {"broker": [self.pid("broker")], "postgres": [postgres],
                "workers": [p.pid for n, p in self.processes.items() if n.startswith("worker")]}

    def wire_bytes(self):
        """Bytes that the broker sent and received over tcp so far, over the connections that live."""
        done = subprocess.run(["ss", "-tinH", f"sport = :{self.port}"], text=True, capture_output=True)
        return sum(map(int, re.findall(r"bytes_(?:sent|received):(\d+)", done.stdout)))

    def log_bytes(self):
        return int(self.sql.one("select pg_current_wal_lsn() - '0/0'"))

    def tool(self, name, *argv):
        """One of the C programs of this folder; its JSON."""
        done = subprocess.run([self.bin / f"bench-{name}", *map(str, argv)], text=True, capture_output=True)
        if done.returncode:
            raise Failed(f"bench-{name}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def close(self, keep=False):
        for name in [*[n for n in self.processes if n != "broker"], *[n for n in self.processes if n == "broker"]]:
            self.end(name)
        if self.sql:
            self.sql.close()
        subprocess.run([TREE / "deploy/services", "stop", self.home], env=self.env, stdin=subprocess.DEVNULL)
        if not keep:
            shutil.rmtree(self.scratch, ignore_errors=True)


class Use:
    """Processor time, wire and log bytes between enter and exit, for each of `count` things."""

    def __init__(self, cluster):
        self.cluster = cluster

    def now(self):
        return processor_us(self.cluster.roots()), self.cluster.wire_bytes(), self.cluster.log_bytes()

    def __enter__(self):
        self.before = self.now()
        return self

    def __exit__(self, *_):
        self.after = self.now()

    def each(self, count):
        (cpu0, wire0, log0), (cpu1, wire1, log1) = self.before, self.after
        out = {f"{name}_us": (cpu1[name] - cpu0[name]) / count for name in cpu1}
        out["total_us"] = sum(out.values())
        return out | {"wire_bytes": (wire1 - wire0) / count, "log_bytes": (log1 - log0) / count}
