"""optimization_validator beside SciPy: two groups, 1,999 rounds of the bootstrap, Welch's test. SciPy's BCa
leaves out each row in turn, so at 100,000 rows it gets the percentile method. One thread each.
    OMP_NUM_THREADS=1 /usr/bin/python3 tests/bench/bench_optimization_validator.py BUILD/bin/millrace-worker"""
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy import stats

rng = np.random.default_rng(1)
print("rows      | SciPy s | Millrace s, reading the file included")
for n in (1000, 10000, 100000):
    t, y = np.arange(n) % 2, rng.normal(size=n)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
        np.savetxt(f, np.column_stack([t, y]), delimiter=",", header="t,y", comments="", fmt="%.17g")
        f.flush()
        start = time.time()
        subprocess.run([sys.argv[1], "try", "optimization_validator", "--input", f.name, "--role", "treatment=t", "--role",
                        "outcome=y"], capture_output=True, check=True)
        mine = time.time() - start
    a, b = y[t == 1], y[t == 0]
    start = time.time()
    stats.ttest_ind(a, b, equal_var=False)
    stats.bootstrap((a, b), lambda p, q, axis: p.mean(axis=axis) - q.mean(axis=axis), n_resamples=1999, batch=50,
                    method="BCa" if n < 100000 else "percentile", vectorized=True)
    print(f"{n:9} | {time.time() - start:7.2f} | {mine:8.2f}", flush=True)
print("peak memory of the worker, MiB:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
