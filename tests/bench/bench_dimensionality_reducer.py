"""dimensionality_reducer beside scikit-learn and uwot, on the same rows: quality, seconds and peak memory of one process each,
one thread; and what a model costs that learns from the reduced columns instead of all.
usage: OPENBLAS_NUM_THREADS=1 /usr/bin/python3 bench_dimensionality_reducer.py PATH-OF-millrace-worker [rows ...]
       (default 1000 10000)
umap: 30 columns around ten bent groups, 2 dimensions, 15 neighbours, against R's uwot (Debian r-cran-uwot) with the same
settings; trustworthiness and continuity of both by the same code, over 1000 rows. autoencoder: 30-32-4-32-30, against
MLPRegressor (which bends the code too; 200 steps for both), mean squared error on a fifth left out, columns in [0, 1]. pca: 30 columns, and 1000
columns of a tenth of the rows by random projection, against PCA(svd_solver="randomized").
Times are of whole processes, so they include start and reading; Millrace's include its scores.
downstream: 200 columns driven by 12 hidden ones; ml_model_service (logistic and trees) on all columns and on the reduced
ones, AUC on 5000 other rows; seconds and calls of the training process itself."""
import json, os, resource, subprocess, sys, tempfile, time
import numpy as np

ENV = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PCA = """
import sys, numpy as np
from sklearn.decomposition import PCA
x = np.loadtxt(sys.argv[1], delimiter=",", skiprows=1)
k = int(sys.argv[2])
p = PCA(k, svd_solver="randomized" if x.shape[1] > 500 else "full", n_oversamples=10, iterated_power=4, random_state=1).fit(x)
print(p.explained_variance_.sum() / x.var(0, ddof=1).sum())
"""
AUTOENCODER = """
import sys, numpy as np
from sklearn.neural_network import MLPRegressor
x = np.loadtxt(sys.argv[1], delimiter=",", skiprows=1)
test = np.random.default_rng(1).permutation(len(x)) < len(x) // 5
a = x[~test]; low, high = a.min(0), a.max(0)
u = (x - low) / (high - low)
m = MLPRegressor((32, 4, 32), activation="tanh", solver="lbfgs", alpha=1e-5, max_iter=200, tol=1e-10, random_state=1).fit(u[~test], u[~test])
print(((m.predict(u[test]) - u[test]) ** 2).mean())
"""
UMAP = """
library(uwot); a <- commandArgs(TRUE); x <- as.matrix(read.csv(a[1])); set.seed(1)
y <- umap(x, n_neighbors = 15, n_components = 2, min_dist = 0.1, n_threads = 1, n_sgd_threads = 0)
writeBin(as.vector(t(y)), a[2])
"""


def timed(command):
    """Seconds, peak MiB and output of a process of its own."""
    start = time.monotonic()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENV)
    out = p.stdout.read()
    _, status, use = os.wait4(p.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return time.monotonic() - start, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024, out


def write(path, x, names=None):
    names = names or [f"x{j}" for j in range(x.shape[1])]
    np.savetxt(path, x, delimiter=",", header=",".join(names), comments="", fmt="%.6g")


def groups(rows, columns=30, seed=1):
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(10, 8)) * 2
    hidden = centre[rng.integers(0, 10, rows)] + rng.normal(size=(rows, 8))
    return np.tanh(hidden @ rng.normal(size=(8, columns)) / 6) * 5 + 0.1 * rng.normal(size=(rows, columns))


def kept_neighbours(x, y, k=15, centres=1000):
    """Trustworthiness and continuity over some rows, ranks among all."""
    n = len(x)
    some = np.random.default_rng(2).choice(n, min(n, centres), replace=False)
    sums = np.zeros(2)
    for i in some:
        ranks, near = [], []
        for m in (x, y):
            d = ((m - m[i]) ** 2).sum(1)
            d[i] = np.inf
            order = np.argsort(d, kind="stable")
            rank = np.empty(n)
            rank[order] = np.arange(1, n + 1)
            ranks.append(rank)
            near.append(order[:k])
        sums += np.maximum(ranks[0][near[1]] - k, 0).sum(), np.maximum(ranks[1][near[0]] - k, 0).sum()
    return 1 - 2 / (len(some) * k * (2 * n - 3 * k - 1)) * sums


def result_of(out):
    """The result in the JSON of `try`."""
    doc = json.loads(out)
    stack = [doc]
    while stack:
        v = stack.pop()
        if isinstance(v, dict) and "information_kept" in v:
            return v
        stack += list(v.values()) if isinstance(v, dict) else v if isinstance(v, list) else []
    raise SystemExit("no result in the output")


def row(name, rows, ours, theirs, quality, reference):
    print(f"{name:12} {rows:7}  {quality:18} {reference:18}  {ours[1]:7.2f} {theirs[1]:9.2f}  {ours[2]:5.0f} {theirs[2]:9.0f}",
          flush=True)


def bench_umap(base, folder, rows):
    x = groups(rows)
    path, binary = f"{folder}/x.csv", f"{folder}/y.bin"
    write(path, x)
    x = np.loadtxt(path, delimiter=",", skiprows=1)
    ours = timed(base + ["--input", path, "--set", "method=umap", "--set", "components=2", "--set", f"sample={rows}", "--json"])
    theirs = timed(["Rscript", "-e", UMAP, path, binary])
    r = result_of(ours[3])
    y = np.array(r["embedding"]["data"] if isinstance(r["embedding"], dict) else r["embedding"]).reshape(-1, 2)
    a, b = kept_neighbours(x[r["embedding_rows"]], y), kept_neighbours(x, np.fromfile(binary).reshape(-1, 2))
    row("umap", rows, ours, theirs, f"T {a[0]:.3f} C {a[1]:.3f}", f"T {b[0]:.3f} C {b[1]:.3f}")


def bench_autoencoder(base, folder, rows):
    path = f"{folder}/x.csv"
    ours = timed(base + ["--input", path, "--set", "method=autoencoder", "--set", "components=4", "--set", f"sample={rows}", "--json"])
    theirs = timed([sys.executable, "-c", AUTOENCODER, path])
    a = result_of(ours[3])["autoencoder"]
    row("autoencoder", rows, ours, theirs, f"{a['test_error']:.5f} (pca {a['pca_test_error']:.3f})", f"{float(theirs[3]):.5f}")


def bench_pca(base, folder, rows, columns, k, name):
    path = f"{folder}/wide.csv"
    x = groups(rows, columns)
    write(path, x)
    ours = timed(base + ["--input", path, "--set", "method=pca", "--set", f"components={k}", "--set", f"sample={max(rows, 100)}", "--json"])
    theirs = timed([sys.executable, "-c", PCA, path, str(k)])
    row(name, rows, ours, theirs, f"{result_of(ours[3])['variance_kept']:.6f} kept", f"{float(theirs[3]):.6f} kept")


# ---- downstream ----

def labelled(rows, seed):
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(7).normal(size=(12, 200))
    hidden = rng.normal(size=(rows, 12))
    signal = hidden[:, 0] + hidden[:, 1] * hidden[:, 2] + 1.5 * hidden[:, 3]
    y = (signal + rng.logistic(size=rows) > 0).astype(int)
    return hidden @ mix + 0.5 * rng.normal(size=(rows, 200)), y


def reduced(base, folder, path, y, name):
    doc = json.loads(timed(base + ["--input", path, "--role", "success=y", "--apply", f"{folder}/reduced/model", "--batch-size",
                                   "1000000", "--json"])[3])
    stack, scores = [doc], None
    while stack and scores is None:
        v = stack.pop()
        if isinstance(v, dict):
            scores = v.get("scores")
            stack += list(v.values())
        elif isinstance(v, list):
            stack += v
    data = np.array(scores["data"] if isinstance(scores, dict) else scores).reshape(len(y), -1)
    out = f"{folder}/{name}"
    write(out, np.column_stack([data, y]), [f"c{j}" for j in range(data.shape[1])] + ["y"])
    return out, data.shape[1]


def find(value, key):
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and value.get(key) is not None:
        return value[key]
    return next((f for f in (find(v, key) for v in members) if f is not None), None)


def bench_downstream(worker, folder, rows):
    base = [worker, "try", "dimensionality_reducer"]
    files, truth = {}, {}
    for part, count, seed in (("train", rows, 1), ("test", 5000, 2)):
        x, y = labelled(count, seed)
        files[part], truth[part] = f"{folder}/{part}.csv", y
        write(files[part], np.column_stack([x, y]), [f"x{j}" for j in range(200)] + ["y"])
    fit = timed(base + ["--input", files["train"], "--role", "success=y", "--set", "method=pca", "--set", "scale=true",
                        "--set", "variance=0.95", "--set", "components=12", "--save", f"{folder}/reduced", "--json"])
    kept = result_of(fit[3])
    few = {part: reduced(base, folder, files[part], truth[part], f"{part}-few.csv")[0] for part in files}
    print(f"\ndownstream: {rows} rows, 200 columns to {kept['components']}, information kept {kept['information_kept']:.3f} "
          f"(variance {kept['variance_kept']:.3f}), reduced in {fit[1]:.2f} s of CPU")
    print(f"{'model':9} {'AUC all':>8} {'reduced':>8}  {'train s all':>11} {'reduced':>8} {'saved':>6}")
    for model in ("logistic", "trees"):
        auc, seconds = [], []
        for train, test in ((files["train"], files["test"]), (few["train"], few["test"])):
            learn = [worker, "try", "ml_model_service", "--role", "success=y"]
            out = timed(learn + ["--input", train, "--set", f"model={model}", "--save", f"{folder}/model", "--json"])
            seconds.append(out[1])
            scored = json.loads(timed(learn + ["--input", test, "--apply", f"{folder}/model/model", "--batch-size", "5000",
                                               "--json"])[3])
            auc.append(find(scored, "check")["auc"])
        print(f"{model:9} {auc[0]:8.4f} {auc[1]:8.4f}  {seconds[0]:11.2f} {seconds[1]:8.2f} {1 - seconds[1] / seconds[0]:6.0%}",
              flush=True)


def main():
    worker, sizes = sys.argv[1], [int(v) for v in sys.argv[2:]] or [1000, 10000]
    base = [worker, "try", "dimensionality_reducer"]
    print(f"{'way':12} {'rows':>7}  {'quality':18} {'reference':18}  {'CPU s':>7} {'reference':>9}  {'MiB':>5} {'reference':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            bench_umap(base, folder, rows)
            bench_autoencoder(base, folder, rows)
            bench_pca(base, folder, rows, 30, 8, "pca")
            bench_pca(base, folder, max(rows // 10, 200), 1000, 8, "pca, wide")
        bench_downstream(worker, folder, 5000)


main()
