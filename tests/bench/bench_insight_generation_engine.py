"""insight_generation_engine beside SciPy and statsmodels doing the same work: Kendall's tau and Theil-Sen of
each column, median, MAD and the generalised ESD, one regression with HC1 errors. SciPy's Theil-Sen takes
the same thinned rows, since all pairs of 10,000 rows do not fit. One thread each.
    OMP_NUM_THREADS=1 /usr/bin/python3 tests/bench/bench_insight_generation_engine.py BUILD/bin/millrace-worker"""
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import statsmodels.api as sm
from scipy import stats


def esd(x, most, alpha):
    left, n, out = x.copy(), len(x), 0
    for i in range(1, most + 1):
        far = np.argmax(abs(left - left.mean()))
        t = stats.t.ppf(1 - alpha / (2 * (n - i + 1)), n - i - 1)
        if abs(left[far] - left.mean()) / left.std(ddof=1) > (n - i) * t / ((n - i - 1 + t * t) * (n - i + 1)) ** 0.5:
            out = i
        left = np.delete(left, far)
    return out


rng = np.random.default_rng(1)
print("rows x 20 | SciPy and statsmodels s | Millrace s, reading the file included")
for n in (1000, 10000, 100000):
    x, when = rng.normal(size=(n, 20)), 1.6e9 + 60.0 * np.arange(n)
    y = x[:, 0] + 0.3 * x[:, 2] + rng.normal(size=n)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
        names = [f"x{i}" for i in range(20)] + ["when", "y"]
        np.savetxt(f, np.column_stack([x, when, y]), delimiter=",", header=",".join(names), comments="", fmt="%.17g")
        f.flush()
        start = time.time()
        subprocess.run([sys.argv[1], "try", "insight_generation_engine", "--input", f.name, "--role", "time=when", "--role",
                        "outcome=y"], capture_output=True, check=True)
        mine = time.time() - start
    start = time.time()
    thin = slice(None, None, -(-n // 2048))
    for v in [*x.T, y]:
        stats.kendalltau(when, v)
        stats.theilslopes(v[thin], when[thin])
        stats.median_abs_deviation(v)
        esd(v, 32, 0.01 / 22)
    sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC1").pvalues
    print(f"{n:9} | {time.time() - start:8.2f} | {mine:8.2f}", flush=True)
print("peak memory of the worker, MiB:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
