"""Looks into the processes while a run is drained: system calls a task (strace) and stacks (perf)."""
import collections
import re
import signal
import subprocess

from measures import BATCH, ends, submit


def drained(b):
    runs = [submit(b, b.version, BATCH, "column_means") for _ in range(b.size.runs)]
    ends(b, runs)
    return len(runs) * -(-b.rows // BATCH)


def watched(b):
    """Name and process id of what is looked at: the broker and the first worker with its compute process."""
    return {"broker": b.cluster.pid("broker"), "worker": b.cluster.pid("worker-0")}


def stop(tools):
    for tool in tools.values():
        tool.send_signal(signal.SIGINT)
        tool.wait(60)


def calls_of(file, tasks):
    counts = {}
    for line in file.read_text().splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row[2] != "total":
            counts[row[2]] = int(row[1]) / tasks
    return {name: n for name, n in sorted(counts.items(), key=lambda item: -item[1]) if n >= 0.01}


def count_calls(b):
    """System calls a task; strace makes everything slower, so nothing is timed meanwhile. A worker's are those of one of
    the workers, over its share of the tasks."""
    files = {name: b.cluster.scratch / f"{name}.calls" for name in watched(b)}
    tools = {name: subprocess.Popen(["strace", "-q", "-c", "-f", "-o", files[name], "-p", str(pid)])
             for name, pid in watched(b).items()}
    tasks = drained(b)
    stop(tools)
    return {name: calls_of(files[name], tasks / (4 if name == "worker" else 1)) for name in files}


def fold(script):
    """perf's listing as one line for each stack: outermost;...;innermost count."""
    stacks, stack, command = collections.Counter(), [], ""
    for line in script.splitlines():
        if not line.strip():
            if stack:
                stacks[";".join([command, *reversed(stack)])] += 1
            stack = []
        elif not line[0].isspace():
            command = line.split()[0]
        else:
            stack.append(line.split()[1].split("+")[0])
    return "".join(f"{name} {n}\n" for name, n in stacks.most_common())


def profile(b, folder):
    """perf of the broker, a worker and PostgreSQL's processes during one drain. Flame graphs are made from *.folded."""
    folder.mkdir(parents=True, exist_ok=True)
    who = watched(b) | {"postgres": ",".join(row[0] for row in b.sql.rows("select pid from pg_stat_activity"))}
    tools = {name: subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "-g",
                                     "-o", folder / f"{name}.perf", "-p", str(pid)])
             for name, pid in who.items()}
    drained(b)
    stop(tools)
    for name in who:
        done = subprocess.run(["perf", "script", "-i", folder / f"{name}.perf"], text=True, capture_output=True)
        (folder / f"{name}.folded").write_text(fold(done.stdout + "\n"))
