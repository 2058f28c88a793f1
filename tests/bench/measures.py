"""What tests/bench/run measures. A measure is a function of a Bench that gives {figure: value}; the driver calls all of
them in turn, several times. Answers are checked here: a wrong one ends the bench."""
import collections
import os
import resource
import struct
import time

from rig import Failed, Use, poll, processor_us

COLUMNS, BATCH = 31, 32
MEASURES = []


class Measure:
    def __init__(self, fn, group, needs_rows, extra):
        self.fn, self.group, self.needs_rows, self.extra = fn, group, needs_rows, extra
        self.name, self.what = fn.__name__, fn.__doc__.split("\n")[0]


def measure(group, needs_rows=True, extra=False):
    """`extra`: only taken when it is asked for."""
    def add(fn):
        MEASURES.append(Measure(fn, group, needs_rows, extra))
        return fn
    return add


# `limits`: the figures that it is a share of.
Figure = collections.namedtuple("Figure", "unit what limits more_is_better")
FIGURES = {name: Figure(*row) for name, row in {
    "wake": ("us", "wake of a process on the other processor", (), None),
    "queue_put": ("/s", "limit: bare queue in C, COPY of tasks with 3,968-byte bodies", (), True),
    "queue_1": ("/s", "limit: bare queue in C, drain, 1 a transaction", (), True),
    "queue_1_us": ("us", "  processor time a task: workers and their backends", (), False),
    "queue_500": ("/s", "limit: bare queue in C, drain, 500 a transaction", (), True),
    "queue_500_us": ("us", "  processor time a task", (), False),
    "zmq_1": ("/s", "limit: libzmq ROUTER-DEALER, 1 task a message", (), True),
    "zmq_1_us": ("us", "  processor time a task: all five processes", (), False),
    "zmq_8": ("/s", "limit: libzmq, 8 tasks a message", (), True),
    "zmq_8_us": ("us", "  processor time a task", (), False),
    "zmq_same": ("/s", "limit: libzmq, as many tasks a message as Millrace sent", (), True),
    "zmq_same_us": ("us", "  processor time a task", (), False),
    "copy_300_100": ("/s", "limit: COPY of 300-byte rows, 100 a commit", (), True),
    "copy_300_1000": ("/s", "limit: COPY of 300-byte rows, 1,000 a commit", (), True),
    "copy_4k": ("/s", "limit: COPY of 3,968-byte rows, 1,000 a commit", (), True),
    "copy_prompts": ("/s", "limit: COPY of the stored columns of prompts, no index", (), True),
    "copy_prompts_us": ("us", "  processor time a row: psql and its backend", (), False),
    "copy_prompts_indexed": ("/s", "limit: the same into the table's indexes and checks", (), True),
    "copy_prompts_indexed_us": ("us", "  processor time a row", (), False),
    "drain_cold": ("/s", "the measure: batches of 32 x 31 from the database, means committed", ("queue_500", "zmq_same"), True),
    "total_cold_us": ("us", "  processor time a task: broker, workers, PostgreSQL", ("queue_500_us",), False),
    "broker_cold_us": ("us", "  broker", (), False),
    "postgres_cold_us": ("us", "  PostgreSQL", (), False),
    "drain": ("/s", "the same with inputs that the broker still has", ("queue_500", "zmq_same"), True),
    "tasks_a_message": ("", "  tasks in a message, on average", (), None),
    "broker_us": ("us", "  processor time a task: broker", (), False),
    "workers_us": ("us", "  workers and their compute processes", (), False),
    "postgres_us": ("us", "  PostgreSQL", (), False),
    "total_us": ("us", "  all of them", ("queue_500_us",), False),
    "wire_bytes": ("B", "  bytes between broker and workers, a task", (), False),
    "log_bytes": ("B", "  bytes of PostgreSQL's log, a task", (), False),
    "drain_8": ("/s", "the same with turns of 8 batches", ("zmq_8",), True),
    "tasks_a_message_8": ("", "  tasks in a message, on average", (), None),
    "drain_curve": ("/s", "drain with keys: everything is CURVE", ("drain",), True),
    "total_curve_us": ("us", "  processor time a task, all of them", ("total_us",), False),
    "large": ("/s", "drain of batches of 1,024 x 31, 127 KB, which go by reference through Redis", (), True),
    "large_us": ("us", "  processor time a batch, all of them", (), False),
    "large_wire": ("B", "  bytes between broker and workers, a batch", (), False),
    "large_curve": ("/s", "  with keys", ("large",), True),
    "large_curve_us": ("us", "  processor time a batch, with keys", ("large_us",), False),
    "map": ("rows/s", "structural_analyzer (map)", (), True),
    "merge": ("rows/s", "dimensionality_reducer (merge)", (), True),
    "whole": ("rows/s", "context_learner (whole)", (), True),
    "plan": ("s", "planning of a million batches", (), False),
    "ingest": ("/s", "ingest of 200-character prompts, features included", ("copy_prompts_indexed", "copy_prompts"), True),
    "ingest_client_us": ("us", "  processor time a row: millrace ingest", (), False),
    "ingest_broker_us": ("us", "  broker", (), False),
    "ingest_postgres_us": ("us", "  PostgreSQL", (), False),
    "ingest_us": ("us", "  all of them", ("copy_prompts_indexed_us", "copy_prompts_us"), False),
    "scale_batches_1": ("", "batches that wait: few", (), None),
    "scale_batches_2": ("", "  many", (), None),
    "scale_batches_3": ("", "  all", (), None),
    "scale_plan_1": ("us", "planning, for a thousand of them: few", (), False),
    "scale_plan_2": ("us", "  many", (), False),
    "scale_plan_3": ("us", "  all", (), False),
    "scale_rss_1": ("MiB", "memory of the broker: few", (), False),
    "scale_rss_2": ("MiB", "  many", ("scale_rss_1",), False),
    "scale_rss_3": ("MiB", "  all", ("scale_rss_1",), False),
    "scale_rate_1": ("/s", "batches of one row committed meanwhile: few", (), True),
    "scale_rate_2": ("/s", "  many", ("scale_rate_1",), True),
    "scale_rate_3": ("/s", "  all", ("scale_rate_1",), True),
    "scale_list": ("ms", "`millrace runs` with all of them", (), False),
    "scale_dead": ("rows", "dead rows in all tables afterwards", (), False),
    "idle_us": ("us", "processor time of the broker in a second for 1,000 idle workers", (), False),
    "idle_rss": ("MiB", "  memory that they add", (), False),
    "submit": ("/s", "submit of tasks with 3,968-byte bodies", ("queue_put",), True),
    "submit_client_us": ("us", "  processor time a task: the client, which makes the bodies", (), False),
    "submit_broker_us": ("us", "  broker", (), False),
    "submit_postgres_us": ("us", "  PostgreSQL", (), False),
    "submit_us": ("us", "  broker, workers, PostgreSQL", (), False),
    "submit_drain": ("/s", "drain of submitted tasks, means committed", ("queue_500", "zmq_same"), True),
    "submit_drain_us": ("us", "  processor time a task", ("queue_500_us",), False),
    "single_p50": ("ms", "one at a time, submit to committed result: p50", (), False),
    "single_p99": ("ms", "  p99", (), False),
    "awake_p50": ("ms", "the same with wake_us = 0, idle processors do not sleep: p50", ("single_p50",), False),
    "awake_p99": ("ms", "  p99", ("single_p99",), False),
}.items()}


class Children:
    """Processor time, in microseconds, of the processes that ended between enter and exit and were waited for."""

    def now(self):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (used.ru_utime + used.ru_stime) * 1e6

    def __enter__(self):
        self.us = -self.now()
        return self

    def __exit__(self, *_):
        self.us += self.now()


# ---- limits ----

@measure("limits", needs_rows=False)
def wake(b):
    """A wake across processors."""
    return {"wake": b.cluster.tool("wake", 10000)["us"]}


@measure("limits", needs_rows=False)
def queue(b):
    """The bare queue in C: put, and drain with 1 and 500 tasks a transaction."""
    one = b.cluster.tool("limit-queue", b.cluster.url, b.size.queue_1, 1)
    many = b.cluster.tool("limit-queue", b.cluster.url, b.size.queue, 500)
    return {"queue_put": many["put"], "queue_1": one["rate"], "queue_1_us": one["us"], "queue_500": many["rate"],
            "queue_500_us": many["us"]}


@measure("limits", needs_rows=False)
def copy(b):
    """PostgreSQL's COPY of 300-byte and 4 KB rows."""
    sizes = {"copy_300_100": (300, b.size.copy // 4, 100), "copy_300_1000": (300, b.size.copy, 1000),
             "copy_4k": (3968, b.size.copy // 4, 1000)}
    return {name: b.cluster.tool("limit-copy", b.cluster.url, *size)["rate"] for name, size in sizes.items()}


# ---- the drain ----

def ends(b, runs, seconds=300):
    ids = ",".join(map(str, runs))
    poll(seconds, f"runs {ids} end",
         lambda: int(b.sql.one(f"select count(*) from millrace.run_end where run_id in ({ids})")) == len(runs))
    states = b.sql.rows(f"select run_id, state, reason from millrace.run_end where run_id in ({ids})"
                        " and state <> 'succeeded'")
    if states:
        raise Failed(f"run {states[0][0]} {states[0][1]}: {states[0][2]}")
    return float(b.sql.one("select extract(epoch from max(e.ended_at) - min(r.created_at)) from millrace.run r"
                           f" join millrace.run_end e on e.run_id = r.id where r.id in ({ids})"))


def submit(b, version, batch, *components):
    named = [word for name in components for word in ("--component", name)]
    return b.cluster.call("run", "--detach", "--json", "--version", version, "--batch-size", batch, *named)["run"]


def numbers(body):
    """The means of a result body: msgpack {"means": [float64, ...], ...}."""
    at = body.index(b"\xa5means") + 6
    width = {0xdc: 3, 0xdd: 5}.get(body[at], 1)
    at += width
    values = []
    for i in range(COLUMNS):
        if body[at] != 0xcb:
            raise Failed("a mean is no float64")
        values.append(struct.unpack_from(">d", body, at + 1)[0])
        at += 9
    return values


def check_means(b, run, version, batch, index):
    """One batch, computed again from the tables, to the bit."""
    first, end = index * batch, min((index + 1) * batch, b.rows)
    rows = b.sql.rows("select encode(p.features, 'hex') from (select unnest(row_ids) id, generate_subscripts(row_ids, 1)"
                      f" + chunk * 4096 - 1 as place from millrace.version_rows where version_id = {version}"
                      f" and chunk between {first // 4096} and {(end - 1) // 4096}) v"
                      f" join millrace.training_prompts p on p.id = v.id where place between {first} and {end - 1}"
                      " order by place")
    sums = [0.0] * COLUMNS
    for row in rows:
        for i, value in enumerate(struct.unpack("<31f", bytes.fromhex(row[0]))):
            sums[i] += value
    body = bytes.fromhex(b.sql.one("select encode(body, 'hex') from millrace.result"
                                   f" where run_id = {run} and level = 0 and batch = {index}"))
    if numbers(body) != [v / len(rows) for v in sums]:
        raise Failed(f"batch {index} of run {run} has wrong means")


def check_drain(b, run, batch):
    batches = -(-b.rows // batch)
    row = b.sql.rows("select count(*), count(distinct batch), min(batch), max(batch), sum(row_count) from millrace.result"
                     f" where run_id = {run}")[0]
    if list(map(int, row[:4])) != [batches, batches, 0, batches - 1] or int(row[4]) != b.rows:
        raise Failed(f"run {run} has results {row}, not one for each of {batches} batches")
    for i in range(0, batches, max(1, batches // 16)):
        check_means(b, run, b.version, batch, i)


def drained(b, runs, batch=BATCH):
    """So many runs of column_means over the large version, planned while the component is paused, then drained, and checked;
    and what the drain used."""
    batches = -(-b.rows // batch)
    b.cluster.call("pause", "component", "column_means")
    ids = [submit(b, b.version, batch, "column_means") for _ in range(runs)]
    before = b.cluster.status()["totals"]
    with Use(b.cluster) as use:
        start = float(b.sql.one("select extract(epoch from clock_timestamp())"))
        b.cluster.call("resume", "component", "column_means")
        ends(b, ids)
    after = b.cluster.status()["totals"]
    last = b.sql.one(f"select max(ended_at) from millrace.run_end where run_id in ({','.join(map(str, ids))})")
    seconds = float(b.sql.one(f"select extract(epoch from timestamptz '{last}')")) - start
    for run in ids:
        check_drain(b, run, batch)
    count = batches * runs
    return count / seconds, use.each(count) | {"tasks_a_message": count / (after["messages"] - before["messages"])}


@measure("drain")
def drain_cold(b):
    """The measure with a broker that has just started, so that every input is read from the database."""
    b.cluster.restart_broker()
    rate, used = drained(b, 1)
    return {"drain_cold": rate, "total_cold_us": used["total_us"], "broker_cold_us": used["broker_us"],
            "postgres_cold_us": used["postgres_us"]}


@measure("drain")
def drain(b):
    """The measure: batches of 32 x 31 through broker, workers and database; inputs that were read before."""
    rate, used = drained(b, b.size.runs)
    b.group = used["tasks_a_message"]
    return {"drain": rate} | used


@measure("drain")
def drain_8(b):
    """The same with turns of eight batches, for the share of libzmq with eight a message."""
    b.cluster.restart_broker(MILLRACE_TURN="8")
    drained(b, 1)  # reads the inputs
    rate, used = drained(b, b.size.runs)
    b.cluster.restart_broker()
    return {"drain_8": rate, "tasks_a_message_8": used["tasks_a_message"]}


@measure("limits", needs_rows=False)
def zmq(b):
    """libzmq alone, at three groupings; one is that of the drain just before."""
    groups = {"zmq_1": (b.size.zmq // 4, 1), "zmq_8": (b.size.zmq, 8), "zmq_same": (b.size.zmq, b.grouping())}
    out = {}
    for name, (count, group) in groups.items():
        told = b.cluster.tool("limit-zmq", count, group, "copy")
        out |= {name: told["rate"], f"{name}_us": told["us"]}
    return out


def drained_large(b):
    """Batches of 1,024 rows: above `inline_max`, so that only their hash travels and workers look for them in Redis."""
    drained(b, 1, 1024)  # reads the inputs
    rate, used = drained(b, b.size.runs, 1024)
    return rate, used["total_us"], used["wire_bytes"]


@measure("curve", extra=True)
def curve(b):
    """The drain, and one of large inputs, with keys and without: every connection is CURVE."""
    large, large_us, wire = drained_large(b)
    with b.cluster.with_keys():
        drained(b, 1)
        rate, used = drained(b, b.size.runs)
        large_curve, large_curve_us, _ = drained_large(b)
    return {"drain_curve": rate, "total_curve_us": used["total_us"], "large": large, "large_us": large_us, "large_wire": wire,
            "large_curve": large_curve, "large_curve_us": large_curve_us}


# ---- runs of real components ----

def run_rows(b, *components):
    run = submit(b, b.small_version, 128, *components)
    return b.small_rows / ends(b, [run])


@measure("runs")
def runs(b):
    """Runs of real components over sampled prompts: map, merge and whole."""
    return {"map": run_rows(b, "structural_analyzer"), "merge": run_rows(b, "dimensionality_reducer"),
            "whole": run_rows(b, "context_learner")}


# ---- tasks that are submitted ----

def open_stream(b):
    return b.cluster.call("stream", "open", "--component", "column_means", "--json")["run"]


def check_tasks(b, run, tasks):
    """Each task has one result, and a sample has the means that its body gives (limit.c says how bodies are made)."""
    row = b.sql.rows("select count(*), count(distinct batch), min(batch), max(batch) from millrace.result"
                     f" where run_id = {run}")[0]
    if list(map(int, row)) != [tasks, tasks, 0, tasks - 1]:
        raise Failed(f"stream {run} has results {row}, not one for each of {tasks} tasks")
    for task in range(0, tasks, max(1, tasks // 16)):
        body = bytes.fromhex(b.sql.one("select encode(body, 'hex') from millrace.result"
                                       f" where run_id = {run} and batch = {task}"))
        sums = [0.0] * COLUMNS
        for i, value in enumerate(task_body(task)):
            sums[i % COLUMNS] += value
        if numbers(body) != [v / BATCH for v in sums]:
            raise Failed(f"task {task} of stream {run} has wrong means")


def task_body(task):
    if not PATTERNS:
        state = 1
        for _ in range(64 * BATCH * COLUMNS):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
            PATTERNS.append((state >> 40) / 16777216)
    size = BATCH * COLUMNS
    return [float(task % 16777216)] + PATTERNS[task % 64 * size + 1:(task % 64 + 1) * size]


PATTERNS = []


@measure("submit", needs_rows=False)
def tasks(b):
    """Tasks with bodies: submitted while the stream is paused, then drained."""
    run, count = open_stream(b), b.size.tasks
    b.cluster.call("pause", "run", run)
    with Use(b.cluster) as use, Children() as client:
        rate = b.cluster.tool("submit", b.cluster.env["MILLRACE_BROKER"], run, count)["rate"]
    each = use.each(count)
    out = {"submit": rate, "submit_client_us": client.us / count, "submit_broker_us": each["broker_us"],
           "submit_postgres_us": each["postgres_us"], "submit_us": each["total_us"]}
    b.cluster.call("stream", "close", run)
    start = float(b.sql.one("select extract(epoch from clock_timestamp())"))
    with Use(b.cluster) as use:
        b.cluster.call("resume", "run", run)
        ends(b, [run])
    end = float(b.sql.one(f"select extract(epoch from ended_at) from millrace.run_end where run_id = {run}"))
    check_tasks(b, run, count)
    return out | {"submit_drain": count / (end - start), "submit_drain_us": use.each(count)["total_us"]}


def one_at_a_time(b):
    run = open_stream(b)
    took = b.cluster.tool("submit", b.cluster.env["MILLRACE_BROKER"], run, b.size.single, "single")
    b.cluster.call("stream", "close", run)
    return took["p50"], took["p99"]


@measure("submit", needs_rows=False)
def single(b):
    """One task at a time, from submit to its committed result; every answer is checked."""
    return dict(zip(("single_p50", "single_p99"), one_at_a_time(b)))


@measure("submit", needs_rows=False)
def awake(b):
    """The same while idle processors do not sleep (wake_us), where this user may ask for that."""
    if not os.access("/dev/cpu_dma_latency", os.W_OK):
        return {}
    b.cluster.restart_broker(MILLRACE_WAKE_US="0")
    took = one_at_a_time(b)
    b.cluster.restart_broker()
    return dict(zip(("awake_p50", "awake_p99"), took))


# ---- planning ----

@measure("plan")
def plan(b):
    """Planning of a run with as many batches as rows."""
    b.cluster.call("pause", "component", "column_means")
    start = time.monotonic()
    run = submit(b, b.version, 1, "column_means")
    took = time.monotonic() - start
    b.cluster.call("cancel", run)
    b.cluster.call("resume", "component", "column_means")
    return {"plan": took * 1e6 / b.rows}


# ---- ingest ----

STORED = ("content_hash, prompt, enhancement, enhancement_json, source, priority, session_id, score, success, labels,"
          " metadata, created_at, ingest_id, features, features_version")


def copy_seconds(b, make, file):
    """COPY of the file into a table made like this, by psql over the socket, in one transaction: time, and processor time
    of psql and its backend in microseconds."""
    b.sql.rows(f"drop table if exists bench_prompts; create table bench_prompts {make}; checkpoint")
    roots = {"psql": [b.sql.psql.pid, int(b.sql.one("select pg_backend_pid()"))]}
    start, used = time.monotonic(), processor_us(roots)["psql"]
    b.sql.rows(f"\\copy bench_prompts ({STORED}) from '{file}' (format binary)")
    took, used = time.monotonic() - start, processor_us(roots)["psql"] - used
    b.sql.rows("drop table bench_prompts")
    return took, used


def copy_limits(b, ingest, rows):
    """COPY of the columns of the rows that this ingest stored."""
    file = b.cluster.scratch / "rows.copy"
    b.sql.rows(f"\\copy (select {STORED} from millrace.training_prompts where ingest_id = {ingest} order by id)"
               f" to '{file}' (format binary)")
    bare, bare_us = copy_seconds(b, f"as select {STORED} from millrace.training_prompts limit 0", file)
    indexed, indexed_us = copy_seconds(b, "(like millrace.training_prompts including all)", file)
    return {"copy_prompts": rows / bare, "copy_prompts_us": bare_us / rows, "copy_prompts_indexed": rows / indexed,
            "copy_prompts_indexed_us": indexed_us / rows}


def check_ingest(b, told):
    """Sampled rows are sometimes equal: each row that was read is either stored or a duplicate."""
    stored, distinct = map(int, b.sql.rows("select count(*), count(distinct content_hash) from millrace.training_prompts"
                                           f" where ingest_id = {told['ingest']} and length(features) = 124")[0])
    if stored != told["stored"] or distinct != stored or stored + told["duplicate"] != told["read"]:
        raise Failed(f"ingest {told['ingest']} tells {told}, and {stored} rows are stored, {distinct} distinct")


@measure("ingest")
def ingest(b):
    """Ingest of sampled prompts, and COPY of the columns that it stored."""
    b.sample(b.size.ingest, 100 + b.round)
    with Use(b.cluster) as use, Children() as process:
        told = b.cluster.call("ingest", b.sample_file, "--json")
    check_ingest(b, told)
    each = use.each(b.size.ingest)
    client = process.us / b.size.ingest
    return {"ingest": told["rows_per_s"], "ingest_client_us": client, "ingest_broker_us": each["broker_us"],
            "ingest_postgres_us": each["postgres_us"],
            "ingest_us": client + each["broker_us"] + each["postgres_us"]} | copy_limits(b, told["ingest"], told["stored"])
