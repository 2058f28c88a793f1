"""HDBSCAN in NumPy and SciPy for sizes where R's dbscan, which keeps all distances, has no memory: Campello, Moulavi and Sander
2013, core distances by SciPy's k-d tree, Prim's tree without a matrix, excess of mass."""
import numpy as np
from scipy.spatial import cKDTree


def spanning_tree(x, core):
    """Edges of the mutual reachability distance, as (weight, row, row) columns."""
    rows, squares = np.arange(len(x)), (x * x).sum(1)
    x, far = x.copy(), np.full(len(x), np.inf)
    near, left, at, edges = np.zeros(len(x), int), core.copy(), 0, []
    for last in range(len(x) - 1, 0, -1):  # what is in the tree moves behind `last`
        row, point, square, reach = rows[at], x[at].copy(), squares[at], left[at]
        for v in (rows, x, squares, left, far, near):
            v[at] = v[last]
        d = np.sqrt(np.maximum(squares[:last] + square - 2 * (x[:last] @ point), 0))
        np.maximum(d, left[:last], out=d)
        np.maximum(d, reach, out=d)
        closer = d < far[:last]
        far[:last][closer] = d[closer]
        near[:last][closer] = row
        at = int(np.argmin(far[:last]))
        edges.append((far[at], near[at], rows[at]))
    return edges


def single_linkage(edges, n):
    """Node n + i joins two nodes at a distance; also the size of every node."""
    top, joined, size = list(range(2 * n - 1)), [], [1] * n

    def root(v):
        while top[v] != v:
            top[v] = v = top[top[v]]
        return v
    for weight, a, b in sorted(edges):
        a, b = root(a), root(b)
        top[a] = top[b] = n + len(joined)
        size.append(size[a] + size[b])
        joined.append((a, b, weight))
    return joined, size


def condense(joined, size, n, least):
    """Clusters from the root down: their first node, children and stability."""
    node, kids, birth, stability = [2 * n - 2], [[]], [0.0], [0.0]
    stack = [(2 * n - 2, 0)]
    while stack:
        at, c = stack.pop()
        if at < n:
            continue
        a, b, weight = joined[at - n]
        density = 1 / max(weight, 1e-300)
        big = [v for v in (a, b) if size[v] >= least]
        if len(big) == 2:
            stability[c] += (density - birth[c]) * size[at]
            for v in big:
                kids[c].append(len(node))
                stack.append((v, len(node)))
                node.append(v), kids.append([]), birth.append(density), stability.append(0.0)
        else:
            stability[c] += (density - birth[c]) * sum(size[v] for v in (a, b) if size[v] < least)
            stack += [(v, c) for v in big]
    return node, kids, stability


def leaves(joined, at, n):
    stack = [at]
    while stack:
        v = stack.pop()
        if v < n:
            yield v
        else:
            stack += joined[v - n][:2]


def hdbscan(x, samples, least):
    """Labels, -1 for noise; `samples` does not count the point itself."""
    n = len(x)
    core = cKDTree(x).query(x, samples + 1)[0][:, samples]
    joined, size = single_linkage(spanning_tree(x, core), n)
    node, kids, best = condense(joined, size, n, least)
    chosen = [c > 0 for c in range(len(node))]
    for c in range(len(node) - 1, 0, -1):
        below = sum(best[k] for k in kids[c])
        if below > best[c]:
            best[c], chosen[c] = below, False
    label, stack = np.full(n, -1), [(0, False)]
    while stack:
        c, inside = stack.pop()
        if chosen[c] and not inside:
            label[list(leaves(joined, node[c], n))] = c
        stack += [(k, inside or chosen[c]) for k in kids[c]]
    return label
