#!/usr/bin/python3
"""What clustering_optimizer, multi_armed_bandit and early_stopping_framework cost beside references, at three sizes, in
one run. CPU seconds and peak memory of whole processes, one thread each.

usage: /usr/bin/python3 bench_choosers.py PATH/millrace-worker [rows ...]      (default 1000 10000 100000)

References: scikit-learn's KMeans (10 starts, 2 to 10 clusters) and GaussianMixture (full and diagonal) with
silhouette_score on the same number of sampled rows (2048), without HDBSCAN, which version 1.2.1 does not have; the NumPy
policies and the stopping rules of tests/vectors.
"""
import os
import resource
import subprocess
import sys
import tempfile

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vectors"))


def make(folder, n):
    rng = np.random.default_rng(n)
    x = rng.normal(0, 4, (5, 10))[rng.integers(0, 5, n)] + rng.normal(size=(n, 10))
    np.savetxt(f"{folder}/blobs.csv", x, delimiter=",", header=",".join("abcdefghij"), comments="", fmt="%.8g")
    z, theta, arm = rng.normal(size=(n, 4)), rng.normal(0, 0.05, (20, 4)), rng.integers(0, 20, n)
    y = rng.random(n) < 0.1 + (z * theta[arm]).sum(1)
    np.savetxt(f"{folder}/log.csv", np.column_stack([arm, y, np.full(n, 0.05), z]), delimiter=",",
               header="arm,click,p,a,b,c,d", comments="", fmt="%.8g")
    run = np.repeat(np.arange(n // 100), 100)
    step = np.tile(np.arange(1, 101), n // 100)
    level, speed = rng.random(n // 100), rng.uniform(0.05, 0.3, n // 100)
    value = level[run] * (1 - np.exp(-speed[run] * step)) + rng.normal(0, 0.01, len(run))
    np.savetxt(f"{folder}/runs.csv", np.column_stack([run, step, value]), delimiter=",", header="run,step,value",
               comments="", fmt="%.8g")


def clusters(folder):
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.mixture import GaussianMixture
    x = np.loadtxt(f"{folder}/blobs.csv", delimiter=",", skiprows=1)
    x = (x - x.mean(0)) / x.std(0)
    x = x[np.random.default_rng(0).permutation(len(x))[:2048]]
    best = -1
    for k in range(2, 11):
        best = max(best, silhouette_score(x, KMeans(k, n_init=10, random_state=0).fit_predict(x)))
        for kind in ("full", "diag"):
            label = GaussianMixture(k, covariance_type=kind, tol=1e-5, max_iter=200, random_state=0).fit_predict(x)
            if len(set(label)) > 1:
                best = max(best, silhouette_score(x, label))
    return f"silhouette {best:.3f}"


def bandits(folder):
    import bandit
    v = np.loadtxt(f"{folder}/log.csv", delimiter=",", skiprows=1)
    out = []
    for name in ("ucb1", "kl_ucb", "linucb"):
        matched, total = bandit.replay(name, v[:, 0].astype(int), v[:, 3:], v[:, 1], 20, 4)
        out.append(f"{name} {total / matched:.4f}")
    return " ".join(out)


def stopping(folder):
    import stopping as rules
    v = np.loadtxt(f"{folder}/runs.csv", delimiter=",", skiprows=1)
    rows = [(int(i), int(s), y) for i, s, y in v]
    curves = {}
    for i, s, y in rows:
        curves.setdefault(i, []).append((s, y))
    total = {i: len(c) for i, c in curves.items()}
    kept = [rules.median_rule(rows, total), rules.successive_halving(curves, 100), rules.asha(rows, total),
            rules.hyperband(curves, 100)]
    for z in ([4.56, 3.23, 2.63, 2.28, 2.04], [2.413] * 5):
        rules.crossing(z, 1, 0)
    return "used " + " ".join(str(sum(k.values())) for k in kept)


def cost(args):
    """CPU seconds of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run(args, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, p


WHAT = {"clustering_optimizer": (clusters, "blobs.csv", []),
        "multi_armed_bandit": (bandits, "log.csv", ["item=arm", "outcome=click", "treatment=p"]),
        "early_stopping_framework": (stopping, "runs.csv", ["item=run", "time=step", "outcome=value"])}


def main():
    if sys.argv[1] == "--reference":
        print(WHAT[sys.argv[2]][0](sys.argv[3]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    print(f"{'component':26} {'rows':>7} {'Millrace s':>11} {'reference s':>12} {'Millrace MiB':>13} {'reference MiB':>14}")
    for n in [int(v) for v in sys.argv[2:]] or [1000, 10000, 100000]:
        with tempfile.TemporaryDirectory() as folder:
            make(folder, n)
            for name, (_, file, roles) in WHAT.items():
                bound = [v for r in roles for v in ("--role", r)]
                ours, p = cost([sys.argv[1], "try", name, "--input", f"{folder}/{file}", *bound])
                memory = p.stdout.split("at most ")[1].split(" MiB")[0]
                first = p.stdout.split("\n")[3].strip()[:100]
                theirs, q = cost([sys.executable, __file__, "--reference", name, folder])
                found, peak = q.stdout.strip().split("\n")[-2:]
                print(f"{name:26} {n:7} {ours:11.2f} {theirs:12.2f} {memory:>13} {peak:>14}   reference: {found}; Millrace: {first}",
                      flush=True)


main()
