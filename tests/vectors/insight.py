"""Trends, outliers and adjusted associations, for tests/component/test_insight_generation_engine.c. Made with
SciPy 1.10 and statsmodels 0.13:
    /usr/bin/python3 tests/vectors/insight.py > tests/vectors/insight.txt
`series` n t... x...: Mann-Kendall's S by counting all pairs, with the variance of Kendall and Gibbons
(ties of both), Theil-Sen by scipy.stats.theilslopes, Hamed-Rao with every lag, as pymannkendall has it
(lags 1 to n - 1, significant at 5 %).
`esd` n most alpha x...: Rosner's procedure with scipy.stats.t. The first is Rosner's own example (NIST
e-Handbook, 1.3.5.17.3).
`row` target a b c: the regression of statsmodels OLS with HC1 on the columns as the component scales them."""
import math

import numpy as np
import statsmodels.api as sm
from scipy import stats

rng = np.random.default_rng(12)


def expect(name, v):
    print("expect", name, repr(float(v)))


def tie_sums(v):
    g = np.unique(v, return_counts=True)[1].astype(float)
    return (g * (g - 1) * (2 * g + 5)).sum(), (g * (g - 1)).sum(), (g * (g - 1) * (g - 2)).sum()


def series(t, x):
    n = len(x)
    print("series", n, *(repr(float(v)) for v in t), *(repr(float(v)) for v in x))
    s = sum(np.sign(t[j] - t[i]) * np.sign(x[j] - x[i]) for i in range(n) for j in range(i + 1, n))
    (vx, px, tx), (vt, pt, tt) = tie_sums(x), tie_sums(t)
    var = (n * (n - 1) * (2 * n + 5) - vx - vt) / 18 + px * pt / (2 * n * (n - 1)) + tx * tt / (9 * n * (n - 1) * (n - 2))
    z = (s - np.sign(s)) / math.sqrt(var)
    expect("s", s)
    expect("tau", s / (n * (n - 1) / 2))
    expect("z", z)
    expect("p", 2 * stats.norm.sf(abs(z)))
    slope = stats.theilslopes(x, t)[0]
    expect("slope", slope)
    expect("intercept", np.median(x) - slope * np.median(t))
    index = np.arange(1, n + 1)
    ranks = stats.rankdata(x - index * stats.theilslopes(x, index)[0])
    y = ranks - ranks.mean()
    acf = np.correlate(y, y, "full")[n - 1:] / (y @ y)
    limit = stats.norm.ppf(0.975) / math.sqrt(n)
    total = sum((n - i) * (n - i - 1) * (n - i - 2) * acf[i] for i in range(1, n) if abs(acf[i]) > limit)
    factor = 1 + 2 / (n * (n - 1) * (n - 2)) * total
    expect("factor", factor)
    expect("corrected_p", 2 * stats.norm.sf(abs((s - np.sign(s)) / math.sqrt(var * factor))))


def esd(x, most, alpha):
    print("esd", len(x), most, alpha, *(repr(float(v)) for v in x))
    left, n, outliers = list(x), len(x), 0
    for i in range(1, most + 1):
        m, sd = np.mean(left), np.std(left, ddof=1)
        far = max(left, key=lambda v: abs(v - m))
        t = stats.t.ppf(1 - alpha / (2 * (n - i + 1)), n - i - 1)
        critical = (n - i) * t / math.sqrt((n - i - 1 + t * t) * (n - i + 1))
        expect("distance", abs(far - m) / sd)
        expect("critical", critical)
        if abs(far - m) / sd > critical:
            outliers = i
        left.remove(far)
    expect("outliers", outliers)


series(np.arange(40.0), np.round(rng.normal(0, 1, 40) + 0.03 * np.arange(40), 1))
series(np.sort(rng.integers(0, 25, 60)).astype(float), rng.integers(0, 9, 60).astype(float))
walk = np.cumsum(rng.normal(0, 1, 80))
series(np.arange(80.0) * 3 + 7, walk)
rosner = [-0.25, 0.68, 0.94, 1.15, 1.20, 1.26, 1.26, 1.34, 1.38, 1.43, 1.49, 1.49, 1.55, 1.56, 1.58, 1.65, 1.69, 1.70, 1.76,
          1.77, 1.81, 1.91, 1.94, 1.96, 1.99, 2.06, 2.09, 2.10, 2.14, 2.15, 2.23, 2.24, 2.26, 2.35, 2.37, 2.40, 2.47, 2.54,
          2.62, 2.64, 2.90, 2.92, 2.92, 2.93, 3.21, 3.26, 3.30, 3.59, 3.68, 4.30, 4.64, 5.34, 5.42, 6.01]
esd(rosner, 10, 0.05)
esd(np.concatenate([rng.normal(0, 1, 100), [7.5, -8.0, 9.25]]), 20, 0.01)
n = 300
a, c = rng.normal(0, 3, n), rng.exponential(1, n)
b = (rng.random(n) < 1 / (1 + np.exp(-a / 3))).astype(float)
y = 0.2 * a + 0.5 * b + rng.normal(0, 1, n) * (1 + abs(a) / 3)
for i in range(n):
    print("row", repr(y[i]), repr(a[i]), repr(b[i]), repr(c[i]))
fit = sm.OLS(y, np.column_stack([np.ones(n), a / a.std(), b, c / c.std()])).fit(cov_type="HC1", use_t=True)
for j, name in enumerate("abc"):
    expect(f"{name}.coefficient", fit.params[1 + j])
    expect(f"{name}.p", fit.pvalues[1 + j])
    expect(f"{name}.interval[0]", fit.conf_int()[1 + j][0])
