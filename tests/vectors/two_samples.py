"""Two-sample tests, effect sizes and intervals, for tests/component/test_hypothesis.c, test_resample.c.
Made with SciPy 1.10.1:  /usr/bin/python3 tests/vectors/two_samples.py > tests/vectors/two_samples.txt
Each line: `x` or `y` with n numbers, or `expect` with a name and a value for the samples before it.
The noncentral-t interval is solved with scipy.optimize.brentq on scipy.stats.nct, the Bayes factor with
scipy.integrate.quad on equation 1 of Rouder et al. 2009, the power with scipy.stats.nct."""
import math

import numpy as np
from scipy import integrate, optimize, special, stats as st

print("# made by tests/vectors/two_samples.py with SciPy 1.10.1")
rng = np.random.default_rng(20)
cases = [
    (rng.normal(0, 1, 12), rng.normal(0.8, 1.5, 9)),
    (rng.exponential(2, 30), rng.exponential(3, 44)),
    (rng.integers(0, 6, 40).astype(float), rng.integers(1, 7, 35).astype(float)),
    (rng.normal(10, 3, 60), rng.normal(10.5, 3, 80)),
    (rng.normal(5, 1, 4), rng.normal(7, 1, 5)),
    (np.array([1.0, 2.0, 4.0]), np.array([3.0, 9.0, 7.5])),
]


def line(kind, v):
    print(kind, len(v), *(repr(float(a)) for a in v))


def expect(name, v):
    print("expect", name, repr(float(v)))


def jzs(t, n0, n1, r=math.sqrt(0.5)):
    df, n = n0 + n1 - 2, n0 * n1 / (n0 + n1)

    def f(u):
        g = math.exp(u)
        s = 1 + n * g * r * r
        return s**-0.5 * (1 + t * t / (s * df)) ** (-(df + 1) / 2) * (2 * math.pi) ** -0.5 * g**-0.5 * math.exp(-0.5 / g)

    top = integrate.quad(f, -6, 40, epsabs=0, epsrel=1e-12, limit=500, points=[-2, 0, 2, 5])[0]
    return math.log(top / (1 + t * t / df) ** (-(df + 1) / 2))


for x, y in cases:
    line("x", x)
    line("y", y)
    n0, n1 = len(x), len(y)
    df = n0 + n1 - 2
    w = st.ttest_ind(x, y, equal_var=False)
    expect("welch_t", w.statistic)
    expect("welch_p", w.pvalue)
    s = st.ttest_ind(x, y)
    expect("student_t", s.statistic)
    expect("student_p", s.pvalue)
    ties = len(set(x) | set(y)) < n0 + n1
    exact = not ties and n0 < 50 and n1 < 50
    m = st.mannwhitneyu(x, y, alternative="two-sided", method="exact" if exact else "asymptotic")
    expect("mann_whitney_u", m.statistic)
    expect("mann_whitney_p", m.pvalue)
    b = st.levene(x, y, center="median")
    expect("brown_forsythe_f", b.statistic)
    expect("brown_forsythe_p", b.pvalue)
    if n0 >= 20:
        k = st.normaltest(x)
        expect("k2", k.statistic)
        expect("k2_p", k.pvalue)
    scale = math.sqrt(1 / n0 + 1 / n1)
    d = s.statistic * scale
    expect("d", d)
    for name, p in (("d_low", 0.975), ("d_high", 0.025)):
        shift = optimize.brentq(lambda c: st.nct.cdf(s.statistic, df, c) - p, s.statistic - 12, s.statistic + 12, xtol=1e-13)
        expect(name, scale * shift)
    expect("g", d * math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2))
    cut = optimize.brentq(lambda c: st.t.sf(c, df) - 0.025, 0, 50, xtol=1e-14)  # st.t.isf has only nine digits
    delta = 0.7 / scale
    expect("power_0.7", st.nct.sf(cut, df, delta) + st.nct.cdf(-cut, df, delta))
    expect("log_bayes_factor", jzs(s.statistic, n0, n1))
    cubes = ((x - x.mean()) ** 3).sum() / n0**3 - ((y - y.mean()) ** 3).sum() / n1**3
    squares = ((x - x.mean()) ** 2).sum() / n0**2 + ((y - y.mean()) ** 2).sum() / n1**2
    expect("acceleration", cubes / (6 * squares**1.5))
