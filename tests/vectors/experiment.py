"""Makes experiment.csv and experiment.txt: /usr/bin/python3 experiment.py
(Python 3.11, numpy 1.24, SciPy 1.10.1, statsmodels 0.13.5.)
experiment.csv: 900 rows of an experiment drawn here from seed 3: arm 0, 1 or 2; pre; y; ok (0 or 1).
experiment.txt, lines of a name, the arm, and numbers; each arm against arm 0:
z      pooled z, p (statsmodels proportions_ztest), Wilson 95 % interval of the arm (proportion_confint),
       Newcombe 95 % interval of the difference (confint_proportions_2indep, method newcomb)
welch  t, df, p, interval (statsmodels CompareMeans, unequal variances), p by Holm (multipletests)
beta   P(better), expected loss of the arm, of the control: Beta(1, 1) priors, SciPy quad of pdf times cdf
cuped  theta (both arms pooled, np.cov), difference, p of Welch on y - theta pre, share of the variance cut
mix    log ratio of the mixture test for the difference of y with V = s0^2/n0 + s1^2/n1, tau = 0.1 sd, by
       SciPy quad of the normal likelihood over the N(0, tau^2) prior; half width of the 95 % interval at all
       times, by brentq on that ratio
srm    chi-square, p of the rows of the three arms against equal shares (SciPy chisquare; arm -1)"""
import numpy as np
from scipy import integrate, optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

rng = np.random.default_rng(3)
n = 900
arm = rng.choice(3, n, p=[0.34, 0.34, 0.32])
pre = np.round(rng.normal(20, 4, n), 6)
y = np.round(0.7 * pre + np.array([0, 0.5, -0.2])[arm] + rng.normal(0, 2, n), 6)
ok = (rng.random(n) < np.array([0.3, 0.42, 0.31])[arm]).astype(int)
with open("experiment.csv", "w") as f:
    print("arm,pre,y,ok", file=f)
    for row in zip(arm, pre, y, ok):
        print(f"{row[0]},{row[1]:.6f},{row[2]:.6f},{row[3]}", file=f)
out = open("experiment.txt", "w")


def show(name, k, *values):
    print(name, k, *[f"{v:.17g}" for v in values], file=out)


def beta(k):
    a0, a1 = [stats.beta(1 + ok[arm == j].sum(), 1 + (1 - ok[arm == j]).sum()) for j in (0, k)]
    integral = lambda f: integrate.quad(f, 0, 1, epsabs=1e-14, epsrel=1e-12, limit=400, points=[a0.mean(), a1.mean()])[0]
    better = integral(lambda p: a1.pdf(p) * a0.cdf(p))
    loss = integral(lambda p: (1 - a0.cdf(p)) * a1.cdf(p))
    loss0 = integral(lambda p: (1 - a1.cdf(p)) * a0.cdf(p))
    return better, loss, loss0


def mixture(d, v, tau):
    peak = d * tau**2 / (v + tau**2)
    f = lambda e: stats.norm.pdf(d, e, v**0.5) * stats.norm.pdf(e, 0, tau)
    width = (v * tau**2 / (v + tau**2)) ** 0.5
    top = integrate.quad(f, peak - 12 * width, peak + 12 * width, epsabs=0, epsrel=1e-13)[0]
    return np.log(top) - stats.norm.logpdf(d, 0, v**0.5)


ps = []
for k in (1, 2):
    c, t = ok[arm == 0], ok[arm == k]
    z, p = proportions_ztest([t.sum(), c.sum()], [len(t), len(c)])
    show("z", k, z, p, *proportion_confint(t.sum(), len(t), method="wilson"),
         *confint_proportions_2indep(t.sum(), len(t), c.sum(), len(c), method="newcomb", compare="diff"))
    means = CompareMeans(DescrStatsW(y[arm == k]), DescrStatsW(y[arm == 0]))
    t_value, p, df = means.ttest_ind(usevar="unequal")
    ps.append((k, t_value, df, p, *means.tconfint_diff(usevar="unequal")))
    show("beta", k, *beta(k))
    two = (arm == 0) | (arm == k)
    theta = np.cov(pre[two], y[two])[0, 1] / np.var(pre[two], ddof=1)
    adjusted = y - theta * pre
    spread = lambda v: sum(np.var(v[arm == j], ddof=1) / (arm == j).sum() for j in (0, k))
    show("cuped", k, theta, adjusted[arm == k].mean() - adjusted[arm == 0].mean(),
         stats.ttest_ind(adjusted[arm == k], adjusted[arm == 0], equal_var=False).pvalue,
         1 - spread(adjusted) / spread(y))
    d, v = y[arm == k].mean() - y[arm == 0].mean(), spread(y)
    tau = 0.1 * (v / (1 / (arm == k).sum() + 1 / (arm == 0).sum())) ** 0.5
    show("mix", k, mixture(d, v, tau), optimize.brentq(lambda e: mixture(e, v, tau) - np.log(20), 0, 10 * v**0.5, xtol=1e-14))
holm = multipletests([p[3] for p in ps], method="holm")[1]
for p, h in zip(ps, holm):
    show("welch", *p, h)
srm = stats.chisquare(np.bincount(arm))
show("srm", -1, srm.statistic, srm.pvalue)
