"""Makes learners.txt: /usr/bin/python3 learners.py DIRECTORY-WITH-wine.csv-AND-breast_cancer.csv > learners.txt
(Python 3.11, numpy 1.24, scikit-learn 1.2.1.) Lines: a name, then numbers.
pca TABLE SCALED | eigenvalues | the first loading | reconstruction error (mean squared) with 3 components
forest TABLE | mean and sd over 10 seeds of the AUC of sklearn's IsolationForest(200 trees, 256 rows), anomaly = failure
stability TABLE ZSCORED M | size and stability of each cluster chosen, in label order, of HDBSCAN with min_cluster_size M
    and min_samples M - 1 by a plain O(n^2) computation from the definition (Campello, Moulavi and Sander 2013)."""
import sys
import numpy as np
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

folder = sys.argv[1]


def table(name):
    at = "hdbscan_blobs.csv" if name == "hdbscan_blobs" else f"{folder}/{name}.csv"
    rows = [line.strip().split(",") for line in open(at)][1:]
    return np.array([[float(v) for v in row[:-1]] for row in rows]), [row[-1] for row in rows]


def zscores(x):
    return (x - x.mean(0)) / x.std(0)


def show(*values):
    print(*[v if isinstance(v, (str, int)) else f"{v:.17g}" for v in values])


def merge_order(x, min_samples):
    """Edges of the tree in the order of weight, ties in the order in which Prim's algorithm from row 0 finds them."""
    d = cdist(x, x)
    core = np.sort(d, axis=1)[:, min_samples]
    reach = np.maximum(np.maximum(d, core[:, None]), core[None])
    best, source, inside, edges = reach[0].copy(), np.zeros(len(x), int), {0}, []
    while len(inside) < len(x):
        j = min((i for i in range(len(x)) if i not in inside), key=lambda i: best[i])
        edges.append((best[j], source[j], j))
        inside.add(j)
        nearer = reach[j] < best
        best, source = np.where(nearer, reach[j], best), np.where(nearer, j, source)
    return sorted(edges, key=lambda e: e[0])


def stabilities(x, size):
    n, groups, whose = len(x), {i: [i] for i in range(len(x))}, list(range(len(x)))
    joins = {}
    for i, (weight, a, b) in enumerate(merge_order(x, size - 1)):
        left, right = whose[a], whose[b]
        members = groups[left] + groups[right]
        groups[n + i] = members
        joins[n + i] = (weight, left, right)
        for m in members:
            whose[m] = n + i
    found = []

    def walk(node, birth):
        """The clusters that are best below a cluster born at `node`, and their total."""
        total, top = 0.0, groups[node]
        while True:
            weight, left, right = joins[node]
            large = [k for k in (left, right) if len(groups[k]) >= size]
            small = sum(len(groups[k]) for k in (left, right) if k not in large)
            total += (small if len(large) == 1 else len(groups[node])) * (1 / weight - birth)
            if len(large) != 1:
                break
            node = large[0]
        below = [walk(k, 1 / weight) for k in large]
        best = sum(b[0] for b in below)
        return (total, [(min(top), len(top), total)]) if not below or total >= best else (
            best, [c for b in below for c in b[1]])

    root = 2 * n - 2
    while True:  # the root itself is not a candidate
        weight, left, right = joins[root]
        large = [k for k in (left, right) if len(groups[k]) >= size]
        if len(large) != 1:
            break
        root = large[0]
    for k in large:
        found += walk(k, 1 / weight)[1]
    return sorted(found)


for name in ("wine", "breast_cancer"):
    for scaled in (0, 1):
        x = table(name)[0]
        x = zscores(x) if scaled else x
        p = PCA().fit(x)
        first = p.components_[0]
        first = first * np.sign(first[np.argmax(abs(first))])
        q = PCA(3).fit(x)
        error = np.mean((x - q.inverse_transform(q.transform(x))) ** 2)
        show("pca", name, scaled, x.shape[1], *p.explained_variance_, *first, error)
for name, failed in (("breast_cancer", "0"), ("hdbscan_blobs", "none")):
    x, y = table(name)
    y = np.array([v == failed for v in y])
    forests = [IsolationForest(n_estimators=200, max_samples=min(256, len(x)), random_state=s) for s in range(10)]
    aucs = [roc_auc_score(y, -f.fit(x).score_samples(x)) for f in forests]
    show("forest", name, np.mean(aucs), np.std(aucs))
for name, scaled, m in (("hdbscan_blobs", 0, 5), ("hdbscan_blobs", 0, 15), ("wine", 0, 10), ("wine", 1, 8),
                        ("breast_cancer", 0, 5), ("breast_cancer", 1, 4)):
    x = table(name)[0]
    found = stabilities(zscores(x) if scaled else x, m)
    show("stability", name, scaled, m, len(found), *[v for f in found for v in f[1:]])
