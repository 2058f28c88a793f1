"""Groups and policies: context_learner beside R's dbscan, clustering_optimizer beside scikit-learn, multi_armed_bandit and
early_stopping_framework beside the NumPy programs of tests/vectors."""
import numpy as np

from case import Case, blobs, save

HDBSCAN = """
suppressMessages(library(dbscan))
a <- commandArgs(TRUE)
d <- as.matrix(read.csv(a[1])); x <- d[, -ncol(d)]; g <- d[, ncol(d)]
start <- proc.time()[["user.self"]]
label <- hdbscan(x, minPts = 15)$cluster
s <- proc.time()[["user.self"]] - start
t <- table(label, g); n <- sum(t); two <- function(v) sum(v * (v - 1) / 2)
e <- two(rowSums(t)) * two(colSums(t)) / (n * (n - 1) / 2)
cat(sprintf('{"s": %f, "quality": %f}\\n', s, (two(t) - e) / ((two(rowSums(t)) + two(colSums(t))) / 2 - e)))
"""


class Contexts(Case):
    component, measure, title = "context_learner", "adjusted Rand index", "R dbscan hdbscan(minPts = 15)"
    options, roles, most = ("min_cluster_size=15", "min_samples=14", "standardise=false"), ("label=group",), 20000

    def write(self, folder, n):
        x, of = blobs(n, 5, 10, n)
        save(f"{folder}/{self.file}", np.column_stack([x, of]), list("abcdefghij") + ["group"])
        open(f"{folder}/hdbscan.R", "w").write(HDBSCAN)

    def quality(self, result, folder):
        return result["adjusted_rand"]

    def command(self, folder):
        return ["Rscript", "--vanilla", f"{folder}/hdbscan.R", f"{folder}/{self.file}"]


class ManyContexts(Contexts):
    """Where all distances do not fit into memory, a program of ours in NumPy and SciPy stands in for R's."""
    title, most, modules = "SciPy k-d tree, NumPy Prim and excess of mass", 0, ("scipy.spatial", "hdbscan_numpy")

    def command(self, folder):
        return None

    def reference(self, rows):
        from sklearn.metrics import adjusted_rand_score
        import hdbscan_numpy
        return float(adjusted_rand_score(rows[:, -1], hdbscan_numpy.hdbscan(rows[:, :-1], 14, 15)))


class Grid(Case):
    """Three indices of each setting on at most 2,048 rows, and all rows assigned by the best, on both sides; scikit-learn 1.2 has
    no HDBSCAN, so it tries 27 settings of Millrace's 40."""
    component, measure = "clustering_optimizer", "best silhouette"
    modules = ("sklearn.cluster", "sklearn.metrics", "sklearn.mixture")
    title = "scikit-learn KMeans, GaussianMixture, three indices"

    def write(self, folder, n):
        save(f"{folder}/{self.file}", blobs(n, 5, 10, n)[0], list("abcdefghij"))

    def quality(self, result, folder):
        return result["silhouette"]

    def reference(self, x):
        from sklearn.cluster import KMeans
        from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
        from sklearn.mixture import GaussianMixture
        every = (x - x.mean(0)) / x.std(0)
        x = every[np.random.default_rng(0).permutation(len(every))[:2048]]
        best = (-1, None)
        for k in range(2, 11):
            models = [KMeans(k, n_init=10, random_state=0)]
            models += [GaussianMixture(k, covariance_type=v, tol=1e-5, max_iter=200, random_state=0) for v in ("full", "diag")]
            for m in models:
                label = m.fit_predict(x)
                if len(set(label)) > 1:
                    davies_bouldin_score(x, label), calinski_harabasz_score(x, label)
                    best = max(best, (silhouette_score(x, label), m), key=lambda v: v[0])
        best[1].predict(every)
        return float(best[0])


class Bandit(Case):
    component, measure, title = "multi_armed_bandit", "reward a matched choice, LinUCB", "NumPy: UCB1, KL-UCB, LinUCB replayed"
    roles, modules = ("item=arm", "outcome=click", "treatment=p"), ("bandit",)

    def write(self, folder, n):
        rng = np.random.default_rng(n)
        z, theta, arm = rng.normal(size=(n, 4)), rng.normal(0, 0.05, (20, 4)), rng.integers(0, 20, n)
        y = rng.random(n) < 0.1 + (z * theta[arm]).sum(1)
        save(f"{folder}/{self.file}", np.column_stack([arm, y, np.full(n, 0.05), z]), "arm click p a b c d".split())

    def quality(self, result, folder):
        return next(p["mean"] for p in result["replay"] if p["policy"] == "linucb")

    def reference(self, v):
        import bandit
        for name in ("ucb1", "kl_ucb", "linucb"):
            matched, total = bandit.replay(name, v[:, 0].astype(int), v[:, 3:], v[:, 1], 20, 4)
        return total / matched


class Stopping(Case):
    component, measure, title = "early_stopping_framework", "reports used by the median rule", "Python: median, halving, ASHA, Hyperband; SciPy: two designs"
    roles, modules = ("item=run", "time=step", "outcome=value"), ("stopping",)

    def write(self, folder, n):
        rng = np.random.default_rng(n)
        run, step = np.repeat(np.arange(n // 100), 100), np.tile(np.arange(1, 101), n // 100)
        level, speed = rng.random(n // 100), rng.uniform(0.05, 0.3, n // 100)
        value = level[run] * (1 - np.exp(-speed[run] * step)) + rng.normal(0, 0.01, len(run))
        save(f"{folder}/{self.file}", np.column_stack([run, step, value]), "run step value".split())

    def quality(self, result, folder):
        return next(r["used"] for r in result["rules"] if r["rule"] == "median")

    def reference(self, v):
        import stopping as rules
        rows, curves = [(int(i), int(s), y) for i, s, y in v], {}
        for i, s, y in rows:
            curves.setdefault(i, []).append((s, y))
        total = {i: len(c) for i, c in curves.items()}
        used = sum(rules.median_rule(rows, total).values())
        rules.successive_halving(curves, 100), rules.asha(rows, total), rules.hyperband(curves, 100)
        rules.exact_design(0, 0.05, 5), rules.exact_design(1, 0.05, 5)
        return used


CASES = [Contexts(), ManyContexts(), Grid(), Bandit(), Stopping()]
