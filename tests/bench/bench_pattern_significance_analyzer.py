"""Items against an outcome: millrace-worker beside scipy.stats.fisher_exact with Benjamini-Hochberg's correction, which
starts from the counts. p-values must agree.
usage: /usr/bin/python3 bench_pattern_significance_analyzer.py MILLRACE-WORKER online_retail_baskets.tsv
The outcome is whether the customer is outside the United Kingdom; rows beyond the file's are drawn from it with
replacement, each item kept with probability 0.9 (fixed seed). Seconds are of one core."""
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy.stats import fisher_exact

worker, path = sys.argv[1:3]
file = [line.rstrip("\n").split("\t") for line in open(path)][1:]
source = [(row[4].split(), int(row[3] != "United Kingdom")) for row in file]


def draw(n):
    rng = random.Random(1)
    more = [rng.choice(source) for _ in range(n - len(source))]
    return source[:n] + [([x for i, x in enumerate(b) if i == 0 or rng.random() < 0.9], y) for b, y in more]


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def millrace(rows, folder):
    table = os.path.join(folder, "rows.tsv")
    with open(table, "w") as f:
        f.write("item\tsuccess\n" + "".join(f"{' '.join(items)}\t{y}\n" for items, y in rows))
    before = cpu_of_children()
    out = subprocess.run([worker, "try", "pattern_significance_analyzer", "--input", table, "--set", "top=20000", "--json"],
                         capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    report = json.loads(out.stdout)
    return report["results"][0], cpu_of_children() - before, report["peak_bytes"] / 2**20


def reference(tests):
    start = time.process_time()
    p = np.array([fisher_exact([[t["with_success"], t["with"] - t["with_success"]],
                                [t["without_success"], t["without"] - t["without_success"]]])[1] for t in tests])
    order = np.argsort(p)
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    return p, np.minimum(q, 1), time.process_time() - start


for n in (1000, 10000, 100000):
    with tempfile.TemporaryDirectory() as folder:
        result, cpu, peak = millrace(draw(n), folder)
    result = result.get("result", result)
    tests = result["tests"]
    p, q, seconds = reference(tests)
    ours = np.array([[t["p"], t["p_bh"]] for t in tests])
    theirs = np.column_stack([p, q])
    some = (ours > 0) | (theirs > 0)  # a p-value below 1e-308 is 0 in both
    off = np.max(np.abs(ours[some] / theirs[some] - 1))
    print(f"{n:7} rows, {result['tested']} tests: millrace {cpu:.2f} s with reading, mining and writing, at most {peak:.0f} MiB; "
          f"scipy {seconds:.2f} s for the p-values alone; largest relative difference of p and q {off:.1e}", flush=True)
