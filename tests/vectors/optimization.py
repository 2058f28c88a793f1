"""Comparisons before and after, for tests/component/test_optimization_validator.c. Made with NumPy 1.24 and
SciPy 1.10:
    /usr/bin/python3 tests/vectors/optimization.py > tests/vectors/optimization.txt
`case` name; `row` session (- for none) treatment outcome earlier-measure (nan for none); `expect` path
value.
Tests by scipy.stats; posteriors by scipy.integrate.quad over the densities; Rosenbaum's gamma by
scipy.optimize.brentq on the normal approximation; E-values by the formula of VanderWeele and Ding 2017."""
import math

import numpy as np
from scipy import integrate, optimize, stats

rng = np.random.default_rng(8)


def expect(path, v):
    print("expect", path, repr(float(v)))


def e_value(r):
    r = max(r, 1 / r)
    return r + math.sqrt(r * (r - 1))


def e_limit(low, high):
    return 1 if low <= 1 <= high else e_value(low if low > 1 else high)


z = stats.norm.ppf(0.975)

# ---- pairs by session ----
print("case pairs")
before = rng.normal(10, 2, 40)
after = np.round(before + rng.normal(0.9, 1.5, 40), 2)
before = np.round(before, 2)
for i in range(40):
    print("row", f"s{i:02d}", 0, repr(before[i]), "nan")
    print("row", f"s{i:02d}", 1, repr(after[i]), "nan")
d = after - before
t = stats.ttest_rel(after, before)
expect("difference", d.mean())
expect("statistic", t.statistic)
expect("p", t.pvalue)
se, df = stats.sem(d), 39
expect("t_interval[0]", d.mean() - stats.t.ppf(0.975, df) * se)
expect("bayes.probability_helped", stats.t.cdf(d.mean() / se, df))
post = stats.t(df, d.mean(), se)
expect("bayes.expected_loss", integrate.quad(lambda v: -v * post.pdf(v), -np.inf, 0, epsabs=0, epsrel=1e-12)[0])
expect("sensitivity.signed_rank_p", stats.wilcoxon(d, mode="approx", correction=False).pvalue)
ranks = stats.rankdata(abs(d[d != 0]))
up = ranks[d[d != 0] > 0].sum()


def worst(g):
    s = g / (1 + g)
    return stats.norm.sf((up - s * ranks.sum()) / math.sqrt(s * (1 - s) * (ranks**2).sum()))


expect("sensitivity.rosenbaum_gamma", optimize.brentq(lambda g: worst(g) - 0.025, 1, 100, xtol=1e-13))
cohen, sd = d.mean() / d.std(ddof=1), d.std(ddof=1)
expect("sensitivity.e_value", e_value(math.exp(0.91 * cohen)))
ends = math.exp(0.91 * (cohen - z * se / sd)), math.exp(0.91 * (cohen + z * se / sd))
expect("sensitivity.e_value_limit", e_limit(*ends))

# ---- two groups with an earlier measure ----
print("case groups")
n1, n0 = 60, 45
pre = rng.normal(5, 1, n1 + n0)
group = np.repeat([1, 0], [n1, n0])
y = pre + 0.4 * group + rng.normal(0, np.where(group, 0.8, 0.5))
for i in range(n1 + n0):
    print("row", "-", group[i], repr(y[i]), repr(pre[i]))
a, b = y[group == 1], y[group == 0]
w = stats.ttest_ind(a, b, equal_var=False)
expect("difference", a.mean() - b.mean())
expect("statistic", w.statistic)
expect("p", w.pvalue)
theta = np.cov(pre, y)[0, 1] / pre.var(ddof=1)
adjusted = y - theta * (pre - pre.mean())
ca, cb = adjusted[group == 1], adjusted[group == 0]
expect("cuped.theta", theta)
expect("cuped.correlation", np.corrcoef(pre, y)[0, 1])
expect("cuped.difference", ca.mean() - cb.mean())
expect("cuped.p", stats.ttest_ind(ca, cb, equal_var=False).pvalue)
expect("cuped.balance_p_welch_t", stats.ttest_ind(pre[group == 1], pre[group == 0], equal_var=False).pvalue)
var = lambda p, q: p.var(ddof=1) / len(p) + q.var(ddof=1) / len(q)
expect("cuped.variance_reduction", 1 - var(ca, cb) / var(a, b))
t1 = stats.t(n1 - 1, a.mean(), stats.sem(a))
t0 = stats.t(n0 - 1, b.mean(), stats.sem(b))
reach = 12 * stats.sem(b)
quad = lambda f: integrate.quad(f, b.mean() - reach, b.mean() + reach, epsabs=1e-14, epsrel=1e-12, limit=400)[0]
below = lambda at: quad(lambda v: t0.pdf(v) * t1.cdf(v + at))
expect("bayes.probability_helped", 1 - below(0))
expect("bayes.interval[0]", optimize.brentq(lambda v: below(v) - 0.025, -2, 2, xtol=1e-13))
expect("bayes.interval[1]", optimize.brentq(lambda v: below(v) - 0.975, -2, 2, xtol=1e-13))
# E max(y0 - y1, 0) is the integral of P(y1 - y0 <= -u) over u > 0
expect("bayes.expected_loss", integrate.quad(lambda u: below(-u), 0, 3, epsabs=1e-15, epsrel=1e-10)[0])

# ---- two rates ----
print("case rates")
k1, m1, k0, m0 = 57, 120, 31, 100
for i in range(m1):
    print("row", "-", 1, int(i < k1), "nan")
for i in range(m0):
    print("row", "-", 0, int(i < k0), "nan")
b1, b0 = stats.beta(k1 + 1, m1 - k1 + 1), stats.beta(k0 + 1, m0 - k0 + 1)
under = lambda at: integrate.quad(lambda v: b0.pdf(v) * b1.cdf(v + at), 0, 1, epsabs=1e-14, epsrel=1e-12, points=[0.3])[0]
expect("bayes.probability_helped", 1 - under(0))
expect("bayes.interval[0]", optimize.brentq(lambda v: under(v) - 0.025, -0.9, 0.9, xtol=1e-13))
expect("bayes.expected_loss", integrate.quad(lambda u: under(-u), 0, 1, epsabs=1e-15, epsrel=1e-10)[0])
rr = (k1 / m1) / (k0 / m0)
s = math.sqrt(1 / k1 - 1 / m1 + 1 / k0 - 1 / m0)
expect("sensitivity.risk_ratio", rr)
expect("sensitivity.e_value", e_value(rr))
expect("sensitivity.e_value_limit", e_limit(rr * math.exp(-z * s), rr * math.exp(z * s)))
