#!/usr/bin/python3
"""clusters.txt: what scikit-learn 1.2.1 and NumPy say of partitions of tables. Run in this folder with the shared data
folder as the argument:  /usr/bin/python3 clusters.py ../../../shared/data > clusters.txt

  scores NAME zscore k noise silhouette davies_bouldin calinski_harabasz
      Row i has label (7 i + i // 5) mod k; with noise = 1 every eleventh row is noise, taken out before scikit-learn's
      silhouette_score, davies_bouldin_score and calinski_harabasz_score.
  kmeans NAME zscore k inertia
      KMeans(k, n_init=50): the least inertia that is known.
  mixture NAME zscore k full log_likelihood
      GaussianMixture from the labels (rank of the first column's value * k // n) by one M step, tol=1e-10.
  two_nn NAME zscore two_nn levina_bickel
      By NearestNeighbors: (n - 1) / sum ln(r2/r1); with 10 neighbours 1 / mean of the inverses.
"""
import sys
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

TABLES = [(n, z) for n in ("hdbscan_blobs", "wine", "breast_cancer") for z in (0, 1)]


def table(name, zscore):
    path = f"{name}.csv" if name == "hdbscan_blobs" else f"{sys.argv[1]}/tabular/{name}.csv"
    x = np.array([[float(v) for v in line.split(",")[:-1]] for line in open(path).read().split("\n")[1:] if line])
    return (x - x.mean(0)) / x.std(0) if zscore else x


def scores(x, k, noise):
    i = np.arange(len(x))
    label = (7 * i + i // 5) % k
    keep = i % 11 != 0 if noise else i >= 0
    x, label = x[keep], label[keep]
    # Distances by differences, not by the expansion of the square, which loses digits.
    d = np.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(2))
    return (silhouette_score(d, label, metric="precomputed"), davies_bouldin_score(x, label),
            calinski_harabasz_score(x, label))


def mixture(x, k, full):
    n = len(x)
    rank = np.empty(n, int)
    rank[np.argsort(x[:, 0], kind="stable")] = np.arange(n)
    resp = np.eye(k)[rank * k // n]

    class Given(GaussianMixture):
        def _initialize_parameters(self, X, random_state):
            self._initialize(X, resp)

    g = Given(k, covariance_type="full" if full else "diag", tol=1e-10, max_iter=3000).fit(x)
    return g.score(x)


def dimensions(x):
    r = NearestNeighbors(n_neighbors=11).fit(x).kneighbors(x)[0][:, 1:]
    return (len(x) - 1) / np.log(r[:, 1] / r[:, 0]).sum(), 1 / np.log(r[:, -1:] / r[:, :-1]).mean()


for name, z in TABLES:
    x = table(name, z)
    for k in (2, 3, 7):
        for noise in (0, 1):
            print("scores", name, z, k, noise, *("%.17g" % v for v in scores(x, k, noise)))
    for k in (2, 3, 6):
        print("kmeans", name, z, k, "%.17g" % KMeans(k, n_init=50, random_state=0, tol=0).fit(x).inertia_)
    if z == 1:
        for k in (2, 3):
            for full in (0, 1):
                print("mixture", name, z, k, full, "%.17g" % mixture(x, k, full))
    if name != "hdbscan_blobs":
        print("two_nn", name, z, *("%.17g" % v for v in dimensions(x)))
