"""One private cluster: PostgreSQL and Redis of deploy/services, a broker, workers, and proxies between them."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import proxy
import wire

TREE = pathlib.Path(__file__).resolve().parents[2]
PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
LEASE_S, GRACE_S = 5, 10
ROWS, WORKERS, THREADS = 1600, 4, 2
MAX_RUNS = 60


class Failed(Exception):
    """The cluster could not be brought into the state that a check needs."""


def poll(seconds, what, fn, every=0.05):
    until = time.monotonic() + seconds
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > until:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(every)


class Process:
    """A process of ours, leader of a group of its own."""

    def __init__(self, name, argv, log, env):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                          start_new_session=True)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        """To the whole group: a worker's compute processes belong to it."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self):
        """The leader alone, as a crash would; its children have to notice by themselves."""
        self.popen.kill()
        self.popen.wait()

    def term(self, seconds):
        """The exit status after SIGTERM, or None when it did not end in time."""
        self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def rss_mb(self):
        with open(f"/proc/{self.pid}/status") as lines:
            return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)


def free_port():
    with proxy.socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Cluster:
    def __init__(self, bin_dir, seed, old_dir=None):
        self.bin = pathlib.Path(bin_dir)
        self.old = pathlib.Path(old_dir) if old_dir else None
        self.folder = self.bin  # of the programs that are started; F32 begins with the old ones
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="millrace-chaos-"))
        self.scratch.chmod(0o755)
        self.home = self.scratch / "home"
        self.home.mkdir()
        self.seed, self.mounted = seed, False
        keep = ("PATH", "LANG", "TMPDIR", "MILLRACE_TEST_RUN")
        self.env = {k: v for k, v in os.environ.items() if k in keep}
        self.env |= {"HOME": str(self.scratch), "CHAOS_RUN": str(self.scratch)}
        self.socket = None
        self.broker = self.standby = self.standby_argv = None
        self.workers = {}
        self.pg = self.redis = None
        self.links = []
        self.port = free_port()
        self.other_ports, self.other_links = [], []  # of a second broker, while there is one

    # ---- clocks ----

    def clock_env(self, name):
        """Lets the clock of a process be moved; {} when the library for that was not built."""
        library = self.bin / "libchaos-clock.so"
        if not library.exists():
            return {}
        file = self.scratch / f"clock-{name}"
        if not file.exists():
            file.write_bytes(bytes(8))
        return {"LD_PRELOAD": str(library.resolve()), "CHAOS_CLOCK": str(file)}

    def move_clock(self, name, seconds):
        with open(self.scratch / f"clock-{name}", "r+b") as out:
            out.write(int(seconds * 1e9).to_bytes(8, "little", signed=True))

    # ---- services ----

    def mount(self):
        """A small disk of its own for the servers, so that it can be filled. Only root can."""
        if os.geteuid() == 0:
            argv = ["mount", "-t", "tmpfs", "-o", "size=1g,mode=755", "millrace-chaos", self.home]
            done = subprocess.run(argv)
            self.mounted = done.returncode == 0

    def services(self, word, home=None):
        env = self.env | self.clock_env("database")
        return subprocess.run([TREE / "deploy/services", word, home or self.home], env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def start_services(self):
        """Whatever of them does not run; the promoted standby too, when there is one."""
        done = self.services("start")
        if done.returncode:
            raise Failed("the services do not start: " + done.stderr.strip())
        self.socket = (self.home / "run/sockets").read_text().strip()
        if self.standby and not self.standby.alive():
            self.start_standby()
            poll(30, "the promoted standby serves", lambda: self.sql("select 1", 20))

    def start_standby(self):
        self.standby = Process("standby", self.standby_argv, self.scratch / "standby.log",
                               self.env | self.clock_env("database"))

    def service_pid(self, name):
        return int((self.home / "run" / f"{name}.pid").read_text().split()[0])

    def stop_postgres(self):
        """At once, as a crash: the log is replayed at the next start."""
        if self.standby:
            self.standby.popen.send_signal(signal.SIGQUIT)
            self.standby.popen.wait(20)
            return
        pid = self.service_pid("postgres")
        try:
            os.kill(pid, signal.SIGQUIT)
        except ProcessLookupError:
            return
        poll(20, "PostgreSQL stops", lambda: not os.path.exists(f"/proc/{pid}"))

    def as_postgres(self):
        if os.geteuid():
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]

    def url(self):
        return f"postgresql://millrace@127.0.0.1:{self.pg.port}/millrace?sslmode=disable&gssencmode=disable"

    def psql_argv(self, *more):
        folder, port = self.pg.target.rsplit("/.s.PGSQL.", 1)
        return ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-h", folder, "-p", port, "-U", "millrace",
                "millrace", *more]

    def sql(self, text, tries=1):
        for left in reversed(range(tries)):
            done = subprocess.run(self.psql_argv("-c", text), env=self.env, text=True, capture_output=True,
                                  timeout=60)
            if done.returncode == 0:
                return [line.split("\t") for line in done.stdout.splitlines()]
            if not left:
                raise Failed("psql: " + done.stderr.strip())
            time.sleep(0.2)
        return []

    def one(self, text, tries=1):
        return self.sql(text, tries)[0][0]

    # ---- our processes ----

    def millrace(self, *argv, folder=None):
        env = self.env | {"MILLRACE_BROKER": f"tcp://127.0.0.1:{self.port}", "MILLRACE_DATABASE_URL": self.url()}
        return subprocess.run([(folder or self.folder) / "millrace", *argv], env=env, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=120)

    def make_broker(self, name, port, url, folder=None):
        redis_url = f"redis://127.0.0.1:{self.redis.port}"
        env = self.env | {"MILLRACE_DATABASE_URL": url, "MILLRACE_REDIS_URL": redis_url} | self.clock_env("broker")
        folder = folder or self.folder
        argv = [folder / "millrace-broker", "--listen", f"tcp://127.0.0.1:{port}", "--name", name,
                "--lease-s", str(LEASE_S), "--grace-s", str(GRACE_S), "--inline-max", "1000"]
        if folder == self.bin:  # an older build may not know it
            argv += ["--max-runs", str(MAX_RUNS)]
        return Process(name, argv, self.scratch / "broker.log", env)

    def answers(self, port=None):
        try:
            with wire.Client(port or self.port, timeout_s=1) as client:
                return client.call("status", timeout_s=2)[0] == 0
        except wire.Closed:
            return False

    def start_broker(self, wait_s=30):
        """Started again until it serves, as a service manager would: the database may not be there yet."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            if not self.broker or not self.broker.alive():
                self.broker = self.make_broker("chaos", self.port, self.url())
            if self.answers():
                return
            time.sleep(0.1)
        raise Failed("the broker does not serve; see broker.log")

    def start_worker(self, i, folder=None):
        argv = [(folder or self.folder) / "millrace-worker-chaos", "--broker", f"tcp://127.0.0.1:{self.links[i].port}",
                "--threads", str(THREADS), "--credit", "3", "--name", f"w{i}"]
        for link in self.other_links[i:i + 1]:
            argv += ["--broker", f"tcp://127.0.0.1:{link.port}"]
        self.workers[i] = Process(f"w{i}", argv, self.scratch / f"w{i}.log", self.env | self.clock_env(f"w{i}"))

    def start(self):
        self.mount()
        self.start_services()
        self.pg = proxy.PgProxy(f"{self.socket}/.s.PGSQL.5432", self.seed)
        self.redis = proxy.RedisProxy(f"{self.socket}/redis.sock", self.seed)
        self.links = [proxy.WorkerProxy(self.port, self.seed + i) for i in range(WORKERS)]
        if self.millrace("migrate", "up").returncode:
            raise Failed("the schema cannot be made")
        self.start_broker()
        rows = self.scratch / "rows.jsonl"
        for argv in (["sample", "--rows", str(ROWS), "--seed", "3", "--output", rows], ["ingest", rows]):
            done = self.millrace(*argv)
            if done.returncode:
                raise Failed(f"{argv[0]}: {done.stderr}")
        for i in range(WORKERS):
            self.start_worker(i)

    def others_alive(self, but=()):
        """Names of processes of ours that ended although nobody killed them."""
        return [p.name for p in [self.broker, *self.workers.values()] if p.name not in but and not p.alive()]

    def mend(self):
        """After a fault: everything runs again and passes everything on."""
        for p in (self.pg, self.redis, *self.links):
            p.heal()
        for file in self.scratch.glob("clock-*"):
            self.move_clock(file.name.removeprefix("clock-"), 0)
        self.start_services()
        self.start_broker()
        for i, worker in list(self.workers.items()):
            worker.signal(signal.SIGCONT)
            if not worker.alive():
                self.start_worker(i)

    # ---- the end ----

    def strays(self):
        """Processes that carry this run's mark and still live."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                marked = f"CHAOS_RUN={self.scratch}".encode() in (entry / "environ").read_bytes().split(b"\0")
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if marked and int(entry.name) != os.getpid():
                    found.append((int(entry.name), words[:60].strip()))
            except OSError:
                continue
        return found

    def close(self, keep=False):
        for p in filter(None, [*self.workers.values(), self.broker]):
            p.end()
        for p in filter(None, [self.pg, self.redis, *self.links]):
            p.close()
        if self.standby:
            self.standby.end()
        self.services("stop")
        for pid, _ in self.strays():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if keep:
            shutil.copytree(self.home / "log", self.scratch / "log")
        if self.mounted:
            poll(10, "the disk is free", lambda: subprocess.run(["umount", self.home]).returncode == 0)
        if not keep:
            shutil.rmtree(self.scratch, ignore_errors=True)


class Producer(threading.Thread):
    """Keeps `depth` runs unfinished; has its own log of the ids that were accepted. Each run is of a kind, whose
    results are known from the time without faults."""

    KINDS = {
        "steady": ([{"name": "chaos_steady", "options": {"ms": "40"}}], 4),
        "small": ([{"name": "chaos_steady", "options": {"ms": "40"}}], 40),
        "real": ([{"name": name} for name in ("structural_analyzer", "dimensionality_reducer", "context_learner")],
                 200),
    }

    def __init__(self, cluster, rng, depth=4):
        super().__init__(daemon=True)
        self.cluster, self.rng, self.depth = cluster, rng, depth
        self.accepted = {}  # id: kind
        self.open = set()
        self.refused = self.unanswered = 0
        self.running = threading.Event()
        self.ended, self.mixed = False, True
        self.lock = threading.Lock()

    @staticmethod
    def batches(kind):
        components, batch = Producer.KINDS[kind]
        return len(components) * -(-ROWS // batch)

    @staticmethod
    def ask(client, kind, **more):
        components, batch = Producer.KINDS.get(kind, (None, 4))
        args = {"components": components, "batch_size": batch, "seed": 7, "name": kind} | more
        return client.call("run", timeout_s=15, **args)

    def note(self, run, kind):
        with self.lock:
            self.accepted[run] = kind
            self.open.add(run)

    def submit(self, kind, **more):
        """The id of an accepted run, or None: refused, or nobody knows."""
        port = self.rng.choice([self.cluster.port, *self.cluster.other_ports])
        try:
            with wire.Client(port, timeout_s=5) as client:
                status, answer = self.ask(client, kind, **more)
        except wire.Closed:
            self.unanswered += 1
            return None
        if status:
            self.refused += 1
            return None
        self.note(answer["run"], kind)
        return answer["run"]

    def look(self):
        """Which of the open runs have ended."""
        if not self.open:
            return
        ids = ",".join(map(str, self.open))
        try:
            rows = self.cluster.sql(f"select run_id from millrace.run_end where run_id in ({ids})")
        except (Failed, subprocess.TimeoutExpired):
            return
        with self.lock:
            self.open -= {int(row[0]) for row in rows}

    def run(self):
        while not self.ended:
            if not self.running.wait(0.2):
                continue
            self.look()
            if len(self.open) < self.depth:
                if not self.submit("real" if self.mixed and self.rng.random() < 0.15 else "steady"):
                    time.sleep(0.2)
            else:
                time.sleep(0.1)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def limit_files(pid, soft):
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, before[1]))
    return before
