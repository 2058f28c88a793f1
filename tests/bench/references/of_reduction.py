"""Fewer dimensions: dimensionality_reducer's UMAP beside R's uwot, its autoencoder and its wide tables beside scikit-learn."""
import numpy as np

from case import Case, save

UMAP = """
suppressMessages(library(uwot))
a <- commandArgs(TRUE); x <- as.matrix(read.csv(a[1])); set.seed(1)
start <- proc.time()[["user.self"]]
y <- umap(x, n_neighbors = 15, n_components = 2, min_dist = 0.1, n_threads = 1, n_sgd_threads = 0)
s <- proc.time()[["user.self"]] - start
writeBin(as.vector(t(y)), a[2])
status <- system2(a[3], c(a[4], shQuote(a[1]), shQuote(a[2])), stdout = TRUE)
cat(sprintf('{"s": %f, "quality": %s}\\n', s, status[length(status)]))
"""
BENT = [f"x{j}" for j in range(30)]


def bent_groups(rows, columns=30, seed=1):
    """Ten groups around 8 hidden numbers, seen through a bent map."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(10, 8)) * 2
    hidden = centre[rng.integers(0, 10, rows)] + rng.normal(size=(rows, 8))
    return np.tanh(hidden @ rng.normal(size=(8, columns)) / 6) * 5 + 0.1 * rng.normal(size=(rows, columns))


def trustworthiness(x, y, k=15, centres=500):
    """Over some rows, ranks among all: as scikit-learn's, which wants the square of all rows."""
    n, excess = len(x), 0
    for i in np.random.default_rng(2).choice(n, min(n, centres), replace=False):
        far, near = ((x - x[i]) ** 2).sum(1), ((y - y[i]) ** 2).sum(1)
        far[i] = near[i] = np.inf
        for j in np.argpartition(near, k)[:k]:
            excess += max(0, np.count_nonzero(far < far[j]) + 1 - k)
    return 1 - 2 * excess / (min(n, centres) * k * (2 * n - 3 * k - 1))


class Umap(Case):
    """Millrace lays out as many rows as a partial holds (19,000 of 30 columns) and places the others by the fitted ones; uwot
    lays out all. The same function scores both."""
    component, measure, title = "dimensionality_reducer", "trustworthiness in 2 dimensions", "R uwot umap, one thread"

    def write(self, folder, n):
        save(f"{folder}/{self.file}", bent_groups(n), BENT, "%.6g")
        open(f"{folder}/umap.R", "w").write(UMAP)

    def commands(self, folder, n):
        rows = ["--input", f"{folder}/{self.file}", "--batch-size", "4096"]
        fit = [*rows, "--save", f"{folder}/model"]
        for o in ("method=umap", "components=2", f"sample={n}"):
            fit += ["--set", o]
        return [fit, [*rows, "--apply", f"{folder}/model/model"]] if n > 19000 else [fit]

    def quality_of(self, results, folder):
        parts = [r["scores"] or r["embedding"] for r in results if r["scores"] or r["embedding"]]
        y = np.concatenate([np.reshape(p["data"], (-1, 2)) for p in parts])
        return trustworthiness(self.read(folder), y)

    def command(self, folder):
        import sys
        return ["Rscript", "--vanilla", f"{folder}/umap.R", f"{folder}/{self.file}", f"{folder}/y.bin", sys.executable, __file__]


class Autoencoder(Case):
    """30-32-4-32-30, 200 steps; mean squared error on a fifth of the rows that the fit did not see, columns in [0, 1].
    MLPRegressor bends the code as well. From 24,000 rows on Millrace learns from a sample, so the reference gets as many."""
    component, measure, title = "dimensionality_reducer", "test error in 4 numbers", "scikit-learn MLPRegressor, L-BFGS"
    modules, flags = ("sklearn.neural_network",), ("--batch-size", "4096")
    sampled = 19000

    def write(self, folder, n):
        save(f"{folder}/{self.file}", bent_groups(n), BENT, "%.6g")

    def commands(self, folder, n):
        self.options = ("method=autoencoder", "components=4", f"sample={n}")
        return super().commands(folder, n)

    def quality(self, result, folder):
        return result["autoencoder"]["test_error"]

    def reference(self, x):
        from sklearn.neural_network import MLPRegressor
        x = x[:self.sampled]
        test = np.random.default_rng(1).permutation(len(x)) < len(x) // 5
        low, high = x[~test].min(0), x[~test].max(0)
        u = (x - low) / (high - low)
        m = MLPRegressor((32, 4, 32), activation="tanh", solver="lbfgs", alpha=1e-5, max_iter=200, tol=1e-10, random_state=1)
        return float(((m.fit(u[~test], u[~test]).predict(u[test]) - u[test]) ** 2).mean())


class Wide(Case):
    """n / 10 rows of 1,000 columns, by random projection on both sides, and both scores. Millrace takes exact sums of all columns
    besides, and components of as many rows as a partial holds (916)."""
    component, measure = "dimensionality_reducer", "variance kept, 8 of 1,000 columns"
    title = "scikit-learn PCA, randomised, trustworthiness twice"
    modules, flags, most = ("sklearn.decomposition", "sklearn.manifold"), ("--batch-size", "4096"), 10000

    def write(self, folder, n):
        x = bent_groups(max(n // 10, 200), 1000)
        save(f"{folder}/{self.file}", x, [f"x{j}" for j in range(1000)], "%.6g")

    def commands(self, folder, n):
        self.options = ("method=pca", "components=8", f"sample={max(n // 10, 200)}")
        return super().commands(folder, n)

    def quality(self, result, folder):
        return result["variance_kept"]

    def reference(self, x):
        from sklearn.decomposition import PCA
        from sklearn.manifold import trustworthiness as of
        p = PCA(8, svd_solver="randomized", n_oversamples=10, iterated_power=4, random_state=1).fit(x)
        some, few = x[:916], p.transform(x[:916])
        of(some, few, n_neighbors=15), of(few, some, n_neighbors=15)
        return float(p.explained_variance_.sum() / x.var(0, ddof=1).sum())


CASES = [Umap(), Autoencoder(), Wide()]

if __name__ == "__main__":  # the score of uwot's layout
    import sys
    print(trustworthiness(np.loadtxt(sys.argv[1], delimiter=",", skiprows=1), np.fromfile(sys.argv[2]).reshape(-1, 2)))
