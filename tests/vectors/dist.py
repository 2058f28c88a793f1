"""Reference values of the distributions and special functions, for tests/component/test_dist.c and test_special.c.
Made with SciPy 1.10.1:  /usr/bin/python3 tests/vectors/dist.py > tests/vectors/dist.txt
Each line: function, arguments, value."""
from scipy import special as sp, stats as st

print("# made by tests/vectors/dist.py with SciPy 1.10.1: function, arguments, value")


def row(name, *args):
    value = args[-1]
    print(name, *(repr(float(a)) for a in args[:-1]), repr(float(value)))


for x in (0.1, 0.5, 1.5, 3.25, 17.0, 1234.5, 1e6):
    row("log_gamma", x, sp.gammaln(x))
for a, b in ((0.5, 0.5), (2, 3), (0.3, 40), (9, 12), (250, 300), (5, 1e5), (1e5, 2e5)):
    row("log_beta", a, b, sp.betaln(a, b))
    for x in (0.001, 0.1, 0.4, 0.5, 0.9, 0.999):
        row("beta_cdf", x, a, b, st.beta.cdf(x, a, b))
        row("beta_sf", x, a, b, st.beta.sf(x, a, b))
for a in (0.3, 1, 4.5, 30, 900, 1e5):
    for f in (0.1, 0.7, 0.99, 1.0, 1.02, 1.5):
        row("gamma_p", a, a * f, sp.gammainc(a, a * f))
        row("gamma_q", a, a * f, sp.gammaincc(a, a * f))
for x in (-37.0, -8.0, -3.2, -1.0, -1e-3, 0, 0.3, 2.5, 6.0, 20.0):
    row("normal_cdf", x, st.norm.cdf(x))
    row("normal_sf", x, st.norm.sf(x))
for p in (1e-300, 1e-20, 1e-5, 0.025, 0.2, 0.5, 0.7, 0.975, 0.999999):
    row("normal_quantile", p, st.norm.ppf(p))
for df in (0.7, 1, 2, 5, 13.37, 60, 1000, 1e6):
    for t in (-40.0, -4.2, -1.3, -0.01, 0.0, 0.6, 2.1, 9.0):
        row("t_cdf", t, df, st.t.cdf(t, df))
        row("t_sf", t, df, st.t.sf(t, df))
for df in (0.5, 1, 3, 10, 77, 5000):
    for f in (0.05, 0.6, 1.0, 1.7, 4.0):
        row("chi2_cdf", df * f, df, st.chi2.cdf(df * f, df))
        row("chi2_sf", df * f, df, st.chi2.sf(df * f, df))
    for p in (1e-5, 0.05, 0.5, 0.95, 0.9999):
        row("chi2_quantile", p, df, st.chi2.ppf(p, df))
for a, b in ((1, 1), (1, 20), (3, 7.5), (40, 5), (300, 4000)):
    for x in (0.01, 0.5, 1.0, 1.8, 12.0):
        row("f_cdf", x, a, b, st.f.cdf(x, a, b))
        row("f_sf", x, a, b, st.f.sf(x, a, b))
    for p in (0.01, 0.5, 0.95):
        row("f_quantile", p, a, b, st.f.ppf(p, a, b))
for a, b in ((0.5, 0.5), (2, 9), (120, 80)):
    for p in (0.001, 0.3, 0.5, 0.99):
        row("beta_quantile", p, a, b, st.beta.ppf(p, a, b))
for n, p in ((5, 0.3), (40, 0.02), (1000, 0.5), (100000, 0.001)):
    for f in (0, 0.5, 1.0, 1.3, 2.0):
        k = int(n * p * f)
        row("binomial_pmf", k, n, p, st.binom.pmf(k, n, p))
        row("binomial_cdf", k, n, p, st.binom.cdf(k, n, p))
        row("binomial_sf", k, n, p, st.binom.sf(k, n, p))
    for q in (0.01, 0.5, 0.99):
        row("binomial_quantile", q, n, p, st.binom.ppf(q, n, p))
for m in (0.2, 3, 55, 4000):
    for f in (0, 0.8, 1.0, 1.4):
        k = int(m * f)
        row("poisson_pmf", k, m, st.poisson.pmf(k, m))
        row("poisson_cdf", k, m, st.poisson.cdf(k, m))
        row("poisson_sf", k, m, st.poisson.sf(k, m))
for df in (1, 3, 12, 58, 400):
    for d in (-3.0, 0.0, 0.4, 2.5, 8.0):
        for t in (-2.0, 0.0, 0.5, 2.0, 6.0, 11.0):
            value = st.nct.cdf(t, df, d)
            if 1e-9 < value < 1 - 1e-9:
                row("nct_cdf", t, df, d, value)
