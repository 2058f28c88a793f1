"""The PC algorithm and treatment effects, for tests/component/test_causal_inference_analyzer.c.
    /usr/bin/python3 tests/vectors/causal.py SHARED_DATA_FOLDER > tests/vectors/causal.txt
Made with NumPy 1.24, SciPy 1.10, statsmodels 0.13.

PC: a plain implementation of the stable form written for this file: an edge goes when the largest p over
all subsets of either end's neighbours is above alpha; the separating set is the one with the largest p (the
first in lexicographic order, columns of the lower end's neighbours first); a test without degrees of
freedom has no p (`keep`) or p = 1 (`remove`); colliders all at once, then Meek's rules. Partial
correlations by inverting the correlation matrix, G and chi-square summed over the strata, p by
scipy.stats.chi2. `scores` is Fisher z on normal scores (scipy.stats.rankdata, norm.ppf of rank/(n + 1)), `residuals` the
comparison of worker/kit/residuals.h on them: numpy lstsq on a constant and the powers 1 to 3 of the given columns, powers 1
to 3 of r/sqrt(1 + r^2) of what is left, canonical correlations by QR and SVD, Bartlett's factor. Lines: `graph` with file, test, alpha, keep or remove, number of edges, then for each edge
the two columns (from 0) and > or -.
Effects: fits by statsmodels OLS and Logit; standard errors by stacking the estimating equations of all
parameters and differentiating them numerically. Lines: `row` with t, y, x...; `expect` name value."""
import itertools
import sys

import numpy as np
import statsmodels.api as sm
from scipy import stats

folder = sys.argv[1]


def fisher(x):
    corr, n = np.corrcoef(x.T), len(x)

    def p(a, b, given):
        inverse = np.linalg.inv(corr[np.ix_([a, b, *given], [a, b, *given])])
        r = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
        return 2 * stats.norm.sf(abs(np.sqrt(n - len(given) - 3) * np.arctanh(r)))

    return p


def counts(x, kind, empty):
    codes = np.column_stack([np.unique(c, return_inverse=True)[1] for c in x.T])
    levels = codes.max(axis=0) + 1

    def p(a, b, given):
        key = np.zeros(len(codes), dtype=np.int64)
        for g in given:
            key = np.unique(key * levels[g] + codes[:, g], return_inverse=True)[1]
        cells = levels[a] * levels[b]
        tables = np.bincount(key * cells + codes[:, a] * levels[b] + codes[:, b], minlength=(key.max() + 1) * cells)
        total, df = 0.0, 0
        for t in tables.reshape(-1, levels[a], levels[b]):
            t = t[t.sum(axis=1) > 0][:, t.sum(axis=0) > 0]
            df += (t.shape[0] - 1) * (t.shape[1] - 1)
            expected = np.outer(t.sum(axis=1), t.sum(axis=0)) / t.sum()
            if kind == "g":
                total += 2 * np.sum(t[t > 0] * np.log(t[t > 0] / expected[t > 0]))
            else:
                total += np.sum((t - expected) ** 2 / expected)
        return stats.chi2.sf(total, df) if df else empty

    return p


def scores(x):
    ranks = np.column_stack([stats.rankdata(c) for c in x.T])
    return stats.norm.ppf(ranks / (len(x) + 1))


def residuals(x):
    n = len(x)
    powers = [np.column_stack([((c - c.mean()) / c.std()) ** k for k in (1, 2, 3)]) for c in x.T]
    few = [len(np.unique(c)) <= 20 for c in x.T]

    def left(a, given):
        design = np.column_stack([np.ones(n), *(powers[g] for g in given)])
        r = powers[a][:, 0] - design @ np.linalg.lstsq(design, powers[a][:, 0], rcond=None)[0]
        r = r / r.std()
        basis = r[:, None] if few[a] else np.column_stack([(r / np.sqrt(1 + r * r)) ** k for k in (1, 2, 3)])
        return np.linalg.qr(basis - basis.mean(axis=0))[0]

    def statistic(a, b, given):
        qa, qb = left(a, given), left(b, given)
        s = np.linalg.svd(qa.T @ qb, compute_uv=False)
        p, q = qa.shape[1], qb.shape[1]
        return -(n - 1 - 3 * len(given) - (p + q + 1) / 2) * np.log1p(-s * s).sum(), p * q

    def p(a, b, given):
        return stats.chi2.sf(*statistic(a, b, given))

    p.statistic = statistic
    return p


def pc(width, p_value, alpha):
    adjacent = {a: set(range(width)) - {a} for a in range(width)}
    best = {}
    depth = 0
    while any(len(adjacent[a]) - 1 >= depth for a in adjacent):
        before = {a: sorted(v) for a, v in adjacent.items()}
        for a in range(width):
            for b in [b for b in before[a] if b > a]:
                for side, other in ((a, b), (b, a)):
                    for given in itertools.combinations([c for c in before[side] if c != other], depth):
                        if side == b and set(given) <= set(before[a]):
                            continue
                        p = p_value(a, b, given)
                        if (a, b) not in best or p > best[a, b][0] or np.isnan(best[a, b][0]):
                            best[a, b] = (p, given)
                if best[a, b][0] > alpha:
                    adjacent[a].discard(b)
                    adjacent[b].discard(a)
        depth += 1
    wanted = set()
    for c in range(width):
        for a, b in itertools.combinations(sorted(adjacent[c]), 2):
            if b not in adjacent[a] and c not in best[a, b][1]:
                wanted |= {(a, c), (b, c)}
    conflict = {e for e in wanted if e[::-1] in wanted}
    arrow = wanted - conflict
    line = lambda a, b: b in adjacent[a] and not {(a, b), (b, a)} & (arrow | conflict)

    def forced(a, b):
        for c in range(width):
            if (c, a) in arrow and c != b and c not in adjacent[b]:
                return True
            if (a, c) in arrow and (c, b) in arrow:
                return True
        doors = [c for c in range(width) if line(a, c) and (c, b) in arrow]
        return any(d not in adjacent[c] for c, d in itertools.combinations(doors, 2))

    changed = True
    while changed:
        changed = False
        for a in range(width):
            for b in range(width):
                if line(a, b) and forced(a, b):
                    arrow.add((a, b))
                    changed = True
    edges = [(a, b) for a in range(width) for b in adjacent[a] if a < b]
    return [(b, a, ">") if (b, a) in arrow else (a, b, ">" if (a, b) in arrow else "-") for a, b in edges]


def true_edges(name, columns):
    lines = open(f"{folder}/causal/{name}").read().splitlines()
    pairs = [l.split()[1::2] for l in lines if "-->" in l]
    return {frozenset((columns.index(a), columns.index(b))) for a, b in pairs}


cases = [("asia_discrete_10000.txt", "asia_true_dag.txt"), ("alarm_discrete_10000.txt", "alarm_true_dag.txt"),
         ("sachs_discrete.tsv", "sachs_true_graph.txt"), ("sachs_logx_continuous.tsv", "sachs_true_graph.txt")]
for data, truth in cases:
    columns = open(f"{folder}/causal/{data}").readline().split()
    x = np.loadtxt(f"{folder}/causal/{data}", skiprows=1)
    real = true_edges(truth, columns)
    for kind in ["z", "scores", "residuals"] if "continuous" in data else ["g", "chi"]:
        for alpha, undecided in ((0.05, "keep"), (0.01, "keep"), (0.01, "remove")):
            if kind == "residuals" and alpha == 0.05:
                continue
            if undecided == "remove" and "asia" not in data:
                continue
            empty = np.nan if undecided == "keep" else 1.0
            tests = {"z": lambda: fisher(x), "scores": lambda: fisher(scores(x)), "residuals": lambda: residuals(scores(x))}
            p_value = tests[kind]() if kind in tests else counts(x, kind, empty)
            edges = pc(x.shape[1], p_value, alpha)
            found = {frozenset(e[:2]) for e in edges}
            print(f"{data} {kind} {alpha} {undecided}: {len(found)} edges, {len(found & real)} of {len(real)} true",
                  file=sys.stderr)
            print("graph", data, kind, alpha, undecided, len(edges), *(f"{a} {b} {m}" for a, b, m in edges))

# Values of single tests: columns a, b, number given, the given, statistic, degrees of freedom, p. Column 3 has few values.
rng = np.random.default_rng(8)
n = 60
z = rng.normal(size=(n, 4))
x = np.column_stack([z[:, 0], z[:, 0] ** 2 + z[:, 1], np.exp(z[:, 2] + z[:, 0]), np.round(z[:, 3] + z[:, 1])])
for row in x:
    print("sample", *(f"{v:.17g}" for v in row))
test = residuals(x)
for a, b, given in ((0, 1, ()), (0, 2, ()), (0, 1, (2,)), (1, 3, (0,)), (1, 2, (0, 3)), (2, 3, (0, 1))):
    value, df = test.statistic(a, b, given)
    print("residuals", a, b, len(given), *given, f"{value:.15g} {df} {test(a, b, given):.15g}")
for row in scores(x)[:5]:
    print("scores", *(f"{v:.17g}" for v in row))

# ---- effects ----

rng = np.random.default_rng(5)
n = 400
x = np.column_stack([rng.normal(3, 2, n), rng.exponential(1, n), rng.integers(0, 2, n)])
t = (rng.random(n) < 1 / (1 + np.exp(-(0.5 * (x[:, 0] - 3) + 0.6 * x[:, 1] - 0.8 * x[:, 2])))).astype(float)
y = 1 + 0.7 * t + 0.9 * x[:, 0] - 0.5 * x[:, 1] + 0.4 * x[:, 2] * t + rng.normal(0, 1, n)
design = sm.add_constant(x)
k = design.shape[1]
logit = sm.Logit(t, design).fit(disp=0, tol=1e-14, maxiter=200)
b1 = sm.OLS(y[t == 1], design[t == 1]).fit().params
b0 = sm.OLS(y[t == 0], design[t == 0]).fit().params


def equations(theta, kind):
    """One row of estimating functions for each data row; the last two parameters are the means."""
    a, c1, c0, (m1, m0) = theta[:k], theta[k:2 * k], theta[2 * k:3 * k], theta[3 * k:]
    e, r1, r0 = 1 / (1 + np.exp(-design @ a)), design @ c1, design @ c0
    if kind == "regression":
        last = r1 - m1, r0 - m0
    else:
        last = t / e * (y - m1), (1 - t) / (1 - e) * (y - m0)
    return np.column_stack([design * (t - e)[:, None], design * (t * (y - r1))[:, None],
                            design * ((1 - t) * (y - r0))[:, None], *last])


def sandwich(theta, kind):
    g = equations(theta, kind)
    slope = np.zeros((len(theta), len(theta)))
    for j in range(len(theta)):
        h = 1e-4 * max(1, abs(theta[j]))
        d = np.zeros_like(theta)
        d[j] = h
        f = lambda s: equations(theta + s * d, kind).mean(axis=0)
        slope[:, j] = (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h)
    inverse = np.linalg.inv(slope)
    cov = inverse @ (g.T @ g / n) @ inverse.T / n
    v = np.zeros(len(theta))
    v[-2:] = 1, -1
    return np.sqrt(v @ cov @ v)


for i in range(n):
    print("row", repr(t[i]), repr(y[i]), *(repr(v) for v in x[i]))
e = logit.predict()
r1, r0 = design @ b1, design @ b0
w1, w0 = t / e, (1 - t) / (1 - e)
ipw = (w1 @ y / w1.sum(), w0 @ y / w0.sum())
a1, a0 = r1 + w1 * (y - r1), r0 + w0 * (y - r0)
start = np.concatenate([logit.params, b1, b0])
naive = stats.ttest_ind(y[t == 1], y[t == 0], equal_var=False)
for name, m1, m0, se in [
    ("difference", y[t == 1].mean(), y[t == 0].mean(), (y[t == 1].mean() - y[t == 0].mean()) / naive.statistic),
    ("regression", r1.mean(), r0.mean(), sandwich(np.append(start, [r1.mean(), r0.mean()]), "regression")),
    ("weighting", *ipw, sandwich(np.append(start, ipw), "weighting")),
    ("robust", a1.mean(), a0.mean(), np.std(a1 - a0) / np.sqrt(n)),
]:
    for what, v in (("mean1", m1), ("mean0", m0), ("effect", m1 - m0), ("se", se)):
        print("expect", f"{name}.{what}", repr(float(v)))
pooled = sm.OLS(y, np.column_stack([design, t])).fit()
gap = x[t == 1].mean(axis=0) - x[t == 0].mean(axis=0)
for j in range(3):
    print("expect", f"bias.{j}", repr(float(pooled.params[1 + j] * gap[j])))
    print("expect", f"outcome_p.{j}", repr(float(pooled.pvalues[1 + j])))
    print("expect", f"treatment_p.{j}", repr(float(stats.ttest_ind(x[t == 1, j], x[t == 0, j], equal_var=False).pvalue)))
print("expect", "least_propensity", repr(float(e.min())))
