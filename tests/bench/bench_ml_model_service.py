"""ml_model_service beside scikit-learn, on the same rows: held-out AUC, seconds and peak memory of one process each.
usage: /usr/bin/python3 bench_ml_model_service.py PATH-OF-millrace-worker [rows ...]    (default 1000 10000 100000)
Both read the CSV, fit on all of it with 5-fold cross-validation (6 fits), and predict 10,000 other rows. scikit-learn
is held to one thread, as a worker is. Times are of whole processes, so they include start and reading."""
import json, os, resource, subprocess, sys, tempfile, time

WIDTH = 20
SKLEARN = """
import sys, numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
kind, train, test = sys.argv[1:]
a, b = (np.loadtxt(f, delimiter=",", skiprows=1) for f in (train, test))
m = make_pipeline(StandardScaler(), LogisticRegression()) if kind == "logistic" else HistGradientBoostingClassifier(early_stopping=False)
cross_val_predict(m, a[:, :-1], a[:, -1], cv=KFold(5), method="predict_proba")
m.fit(a[:, :-1], a[:, -1])
print(roc_auc_score(b[:, -1], m.predict_proba(b[:, :-1])[:, 1]))
"""


def write(path, rows, seed):
    import numpy as np
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, WIDTH))
    signal = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) - (x[:, 4] > 0.5)
    y = (signal + rng.logistic(size=rows) > 0).astype(int)
    names = ",".join(f"x{j}" for j in range(WIDTH)) + ",y"
    np.savetxt(path, np.column_stack([x, y]), delimiter=",", header=names, comments="", fmt=["%.6f"] * WIDTH + ["%d"])


def timed(command):
    """Seconds, peak MiB and output of a process of its own."""
    start = time.monotonic()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                         env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    out = p.stdout.read()
    _, status, use = os.wait4(p.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return time.monotonic() - start, use.ru_maxrss / 1024, out


def find(value, key):
    """The first member `key` that is not null, anywhere in a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in members:
        if name == key and item is not None:
            return item
        found = find(item, key)
        if found is not None:
            return found
    return None


def main():
    worker, sizes = sys.argv[1], [int(v) for v in sys.argv[2:]] or [1000, 10000, 100000]
    with tempfile.TemporaryDirectory() as folder:
        test = f"{folder}/test.csv"
        write(test, 10000, 2)
        print(f"{'model':9} {'rows':>7}  {'AUC':>7} {'sklearn':>7}  {'s':>6} {'sklearn':>7}  {'MiB':>5} {'sklearn':>7}")
        for rows in sizes:
            train = f"{folder}/train.csv"
            write(train, rows, 1)
            for kind in ("logistic", "trees"):
                base = [worker, "try", "ml_model_service", "--role", "success=y"]
                s, mib, _ = timed(base + ["--input", train, "--set", f"model={kind}", "--save", f"{folder}/{kind}"])
                _, _, out = timed(base + ["--input", test, "--apply", f"{folder}/{kind}/model", "--batch-size", "10000", "--json"])
                rs, rmib, rout = timed([sys.executable, "-c", SKLEARN, kind, train, test])
                auc = find(json.loads(out), "check")["auc"]
                print(f"{kind:9} {rows:7}  {auc:7.4f} {float(rout):7.4f}  {s:6.2f} {rs:7.2f}  {mib:5.0f} {rmib:7.0f}", flush=True)


main()
