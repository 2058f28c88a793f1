"""causal_inference_analyzer beside statsmodels (the same 25 doubly robust estimates: one, 19 placebos, 5
random causes), and the time of the graph of the alarm data. One thread each.
    OMP_NUM_THREADS=1 /usr/bin/python3 tests/bench/bench_causal_inference_analyzer.py WORKER SHARED_DATA"""
import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import statsmodels.api as sm

worker, data = sys.argv[1:3]


def aipw(x, t, y):
    d = sm.add_constant(x)
    e = sm.Logit(t, d).fit(disp=0).predict()
    m1 = d @ sm.OLS(y[t == 1], d[t == 1]).fit().params
    m0 = d @ sm.OLS(y[t == 0], d[t == 0]).fit().params
    return np.mean(m1 + t * (y - m1) / e - m0 - (1 - t) * (y - m0) / (1 - e))


def run(path, *more):
    start = time.time()
    out = subprocess.run([worker, "try", "causal_inference_analyzer", "--input", path, "--json", *more],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out), time.time() - start


def result_of(doc):
    while isinstance(doc, (dict, list)) and not (isinstance(doc, dict) and "effects" in doc):
        doc = doc[0] if isinstance(doc, list) else doc.get("result") or doc.get("results")
    return doc


rng = np.random.default_rng(1)
print("rows x 20 | statsmodels s | Millrace s, reading the file included | effect: statsmodels, Millrace")
for n in (1000, 10000, 100000):
    x = rng.normal(size=(n, 20))
    t = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0] - 0.5 * x[:, 1]))).astype(float)
    y = 0.4 * t + x[:, 0] + 0.3 * x[:, 2] + rng.normal(size=n)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
        names = [f"x{i}" for i in range(20)] + ["t", "y"]
        np.savetxt(f, np.column_stack([x, t, y]), delimiter=",", header=",".join(names), comments="", fmt="%.17g")
        f.flush()
        doc, mine = run(f.name, "--role", "treatment=t", "--role", "outcome=y", "--set", "graph=false")
    start = time.time()
    effect = aipw(x, t, y)
    for _ in range(19):
        aipw(x, rng.permutation(t), y)
    for _ in range(5):
        aipw(np.column_stack([x, rng.normal(size=n)]), t, y)
    theirs = time.time() - start
    print(f"{n:9} | {theirs:8.2f} | {mine:8.2f} | {effect:.10f} {result_of(doc)['effects'][3]['effect']:.10f}", flush=True)
with tempfile.NamedTemporaryFile("w", suffix=".tsv") as f:
    f.write(open(f"{data}/causal/alarm_discrete_10000.txt").read().replace(" ", "\t"))
    f.flush()
    print(f"alarm, 10,000 x 37, G test: Millrace {run(f.name)[1]:.2f} s")
print("peak memory of the worker, MiB:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
