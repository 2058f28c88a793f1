"""Writes reduction.txt: reference values for worker/kit/{umap,umap_graph,embedding_quality} and dimensionality_reducer.
usage: OPENBLAS_NUM_THREADS=1 /usr/bin/python3 reduction.py    (scikit-learn 1.2.1, SciPy 1.10.1, R with uwot 0.1.14, Matrix)

curve min_dist spread a b            the least-squares fit of UMAP's curve, by scipy.optimize.curve_fit
graph NAME rows edges sum w0 .. w4   uwot::similarity_graph of the z-scored table, 15 neighbours found exactly (FNN): edges
                                     in both directions, their sum, and the five heaviest of row 0, heaviest first
quality NAME k T C                   sklearn.manifold.trustworthiness of the first two principal components of the z-scored
                                     table, and of the swapped spaces (continuity)
umap NAME T C                        uwot::umap with its defaults but 15 neighbours and min_dist 0.1, mean of seeds 1 to 5:
                                     trustworthiness and continuity at 15 neighbours of the 2-dimensional layouts
NAME: wine or breast_cancer, the tables that come with scikit-learn."""
import os, subprocess, tempfile
import numpy as np
from scipy.optimize import curve_fit
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.manifold import trustworthiness

R = """
library(uwot); a <- commandArgs(TRUE); n <- as.integer(a[2]); w <- as.integer(a[3])
x <- matrix(readBin(a[1], "double", n * w), nrow = n, byrow = TRUE)
d <- as.matrix(dist(x)); near <- t(apply(d, 1, function(r) order(r)[1:15]))
far <- t(sapply(1:n, function(i) d[i, near[i, ]]))
g <- as.matrix(similarity_graph(nn_method = list(idx = near, dist = far)))
cat(sum(g > 0), sprintf("%.17g", sum(g)), sprintf("%.17g", sort(g[1, ], decreasing = TRUE)[1:5]), "\\n")
for (seed in 1:5) {
  set.seed(seed)
  y <- umap(x, n_neighbors = 15, n_components = 2, min_dist = 0.1, n_threads = 1, n_sgd_threads = 0)
  writeBin(as.vector(t(y)), paste0(a[1], ".", seed))
}
"""


def curve(min_dist, spread):
    x = np.linspace(0, 3 * spread, 300)
    y = np.where(x < min_dist, 1.0, np.exp(-(x - min_dist) / spread))
    (a, b), _ = curve_fit(lambda d, p, q: 1 / (1 + p * d ** (2 * q)), x, y, ftol=1e-15, xtol=1e-15, gtol=1e-15)
    return a, b


def main():
    out = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "reduction.txt"), "w")
    for min_dist, spread in ((0.1, 1), (0.01, 1), (0.5, 1), (0.1, 2)):
        print("curve", min_dist, spread, *("%.17g" % v for v in curve(min_dist, spread)), file=out)
    with tempfile.TemporaryDirectory() as folder:
        for name, table in (("wine", load_wine()), ("breast_cancer", load_breast_cancer())):
            x = (table.data - table.data.mean(0)) / table.data.std(0)
            n, w = x.shape
            for k in (5, 15):
                u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
                y = (u * s)[:, :2]
                print("quality", name, k, *("%.17g" % v for v in (trustworthiness(x, y, n_neighbors=k),
                                                               trustworthiness(y, x, n_neighbors=k))), file=out)
            path = f"{folder}/{name}"
            np.ascontiguousarray(x, dtype="<f8").tofile(path)
            text = subprocess.run(["Rscript", "-e", R, path, str(n), str(w)], check=True, capture_output=True, text=True)
            print("graph", name, n, text.stdout.strip().splitlines()[-1], file=out)
            both = []
            for seed in range(1, 6):
                y = np.fromfile(f"{path}.{seed}").reshape(n, 2)
                both.append((trustworthiness(x, y, n_neighbors=15), trustworthiness(y, x, n_neighbors=15)))
            print("umap", name, *("%.6f" % v for v in np.mean(both, axis=0)), file=out)


main()
