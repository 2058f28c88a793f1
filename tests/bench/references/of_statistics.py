"""Tests and effects: causal_inference_analyzer, insight_generation_engine, optimization_validator, ab_testing_service beside
SciPy and statsmodels."""
import numpy as np

from case import Case, save


class Effect(Case):
    """25 doubly robust estimates: one, 19 placebos, 5 random causes."""
    component, measure = "causal_inference_analyzer", "estimated effect (true 0.4)"
    title = "statsmodels Logit and OLS, 25 doubly robust estimates"
    options, roles, modules = ("graph=false",), ("treatment=t", "outcome=y"), ("statsmodels.api",)

    def write(self, folder, n):
        rng = np.random.default_rng(1)
        x = rng.normal(size=(n, 20))
        t = rng.random(n) < 1 / (1 + np.exp(-x[:, 0] - 0.5 * x[:, 1]))
        y = 0.4 * t + x[:, 0] + 0.3 * x[:, 2] + rng.normal(size=n)
        save(f"{folder}/{self.file}", np.column_stack([x, t, y]), [f"x{j}" for j in range(20)] + ["t", "y"], "%.17g")

    def quality(self, result, folder):
        return result["effects"][3]["effect"]

    def reference(self, rows):
        import statsmodels.api as sm
        x, t, y = rows[:, :-2], rows[:, -2], rows[:, -1]
        rng = np.random.default_rng(2)

        def aipw(x, t, y):
            d = sm.add_constant(x)
            e = sm.Logit(t, d).fit(disp=0).predict()
            m1, m0 = (d @ sm.OLS(y[t == v], d[t == v]).fit().params for v in (1, 0))
            return np.mean(m1 + t * (y - m1) / e - m0 - (1 - t) * (y - m0) / (1 - e))

        effect = aipw(x, t, y)
        for _ in range(19):
            aipw(x, rng.permutation(t), y)
        for _ in range(5):
            aipw(np.column_stack([x, rng.normal(size=len(t))]), t, y)
        return float(effect)


class Insight(Case):
    """Kendall's tau and Theil-Sen of each column, median, MAD, generalised ESD, one regression with HC1 errors. SciPy's Theil-Sen
    takes 2,048 rows, since all pairs of 10,000 do not fit."""
    component, measure = "insight_generation_engine", "slope of x0 (true 1)"
    title = "SciPy kendalltau, theilslopes, ESD; statsmodels OLS with HC1"
    roles, flags, modules = ("time=when", "outcome=y"), ("--batch-size", "4096"), ("statsmodels.api", "scipy.stats")

    def write(self, folder, n):
        rng = np.random.default_rng(1)
        x, when = rng.normal(size=(n, 20)), 1.6e9 + 60.0 * np.arange(n)
        y = x[:, 0] + 0.3 * x[:, 2] + rng.normal(size=n)
        save(f"{folder}/{self.file}", np.column_stack([x, when, y]), [f"x{j}" for j in range(20)] + ["when", "y"], "%.17g")

    def quality(self, result, folder):
        return next(e["coefficient"] / e["step"] for e in result["effects"] if e["column"] == "x0")

    def reference(self, rows):
        import statsmodels.api as sm
        from scipy import stats
        x, when, y = rows[:, :20], rows[:, 20], rows[:, 21]
        thin = slice(None, None, -(-len(y) // 2048))
        for v in [*x.T, y]:
            stats.kendalltau(when, v), stats.theilslopes(v[thin], when[thin]), stats.median_abs_deviation(v)
            self.esd(v, 32, 0.01 / 22, stats)
        return float(sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC1").params[1])

    @staticmethod
    def esd(x, most, alpha, stats):
        left, n, out = x.copy(), len(x), 0
        for i in range(1, most + 1):
            far = np.argmax(abs(left - left.mean()))
            t = stats.t.ppf(1 - alpha / (2 * (n - i + 1)), n - i - 1)
            if abs(left[far] - left.mean()) / left.std(ddof=1) > (n - i) * t / ((n - i - 1 + t * t) * (n - i + 1)) ** 0.5:
                out = i
            left = np.delete(left, far)
        return out


class TwoGroups(Case):
    """Welch's test and 1,999 rounds of the bootstrap. SciPy's BCa leaves out each row in turn, so at 100,000 rows it gets the
    percentile method."""
    component, measure, title = "optimization_validator", "Welch's p", "SciPy ttest_ind, bootstrap (BCa)"
    roles, modules = ("treatment=t", "outcome=y"), ("scipy.stats",)

    def write(self, folder, n):
        rng = np.random.default_rng(1)
        t = np.arange(n) % 2
        save(f"{folder}/{self.file}", np.column_stack([t, rng.normal(size=n) + 2 * t / np.sqrt(n)]), ["t", "y"], "%.17g")

    def quality(self, result, folder):
        return self.find(result, "p_value", "p")

    @staticmethod
    def find(value, *keys):
        """The first of these members, anywhere."""
        for name, item in (value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()):
            if name in keys and isinstance(item, (int, float)):
                return item
            found = TwoGroups.find(item, *keys)
            if found is not None:
                return found
        return None

    def reference(self, rows):
        from scipy import stats
        a, b = rows[rows[:, 0] == 1, 1], rows[rows[:, 0] == 0, 1]
        stats.bootstrap((a, b), lambda p, q, axis: p.mean(axis=axis) - q.mean(axis=axis), n_resamples=1999, batch=50,
                        method="BCa" if len(rows) < 100000 else "percentile", vectorized=True)
        return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


class Proportions(Case):
    """One look; Millrace follows the looks for the mixture test all the same."""
    component, measure, title = "ab_testing_service", "pooled z test's p", "statsmodels proportions_ztest, Wilson; SciPy Beta sampling"
    roles, options, flags = ("treatment=t", "outcome=y"), ("horizon=fixed", "planned_looks=1"), ("--batch-size", "4096")
    modules = ("statsmodels.stats.proportion", "scipy.stats")

    def write(self, folder, n):
        rng = np.random.default_rng(6)
        t = np.arange(n) % 2
        save(f"{folder}/{self.file}", np.column_stack([t, rng.random(n) < 0.3 + t / np.sqrt(n)]), ["t", "y"], "%d")

    def quality(self, result, folder):
        return TwoGroups.find(result["comparisons"], "p", "p_value")

    def reference(self, rows):
        from scipy import stats
        from statsmodels.stats.proportion import proportion_confint, proportions_ztest
        t, y = rows[:, 0], rows[:, 1]
        hit, n = np.array([y[t == 1].sum(), y[t == 0].sum()]), np.array([(t == 1).sum(), (t == 0).sum()])
        proportion_confint(hit, n, method="wilson")
        draws = stats.beta.rvs(1 + hit, 1 + n - hit, size=(20000, 2), random_state=0)
        np.mean(draws[:, 0] > draws[:, 1])
        return float(proportions_ztest(hit, n)[1])


class Looks(Proportions):
    """The same with what the component adds: the z test at each of up to 256 looks, the mixture sequential ratio, O'Brien and
    Fleming's bounds for five looks (SciPy's multivariate normal), Newcombe's interval, the power's effect."""
    title = "the same at each look; SciPy bounds; statsmodels Newcombe, power"
    options, modules = ("horizon=fixed",), (*Proportions.modules, "scipy.optimize", "statsmodels.stats.power")

    def reference(self, rows):
        from scipy import optimize, stats
        from statsmodels.stats.power import NormalIndPower
        from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
        p = super().reference(rows)
        t, y = rows[:, 0], rows[:, 1]
        step = 1
        while len(y) > 256 * step:
            step *= 2
        ends = np.append(np.arange(step, len(y), step), len(y)) - 1
        n = np.column_stack([np.cumsum(t == 1)[ends], np.cumsum(t == 0)[ends]])
        hit = np.column_stack([np.cumsum(y * (t == 1))[ends], np.cumsum(y * (t == 0))[ends]])
        seen = (n >= 50).all(1)
        for h, m in zip(hit[seen], n[seen]):
            proportions_ztest(h, m)
        share = hit[seen].sum(1) / n[seen].sum(1)
        v, d = share * (1 - share) * (1 / n[seen]).sum(1), np.diff(hit[seen] / n[seen])[:, 0]
        ratio = np.sqrt(v / (v + 0.1 ** 2)) * np.exp(d ** 2 * 0.1 ** 2 / (2 * v * (v + 0.1 ** 2)))
        np.minimum.accumulate(1 / np.maximum(ratio, 1))
        time = np.arange(1, 6) / 5
        shared = np.sqrt(np.minimum.outer(time, time) / np.maximum.outer(time, time))

        def error(constant):
            bound = constant / np.sqrt(time)
            return 0.95 - stats.multivariate_normal.cdf(bound, cov=shared, maxpts=20000, abseps=1e-6, lower_limit=-bound)
        optimize.brentq(error, 1.9, 2.6, xtol=1e-6)
        confint_proportions_2indep(*hit[-1][:1], n[-1][0], hit[-1][1], n[-1][1], method="newcomb")
        NormalIndPower().solve_power(nobs1=n[-1][0], alpha=0.05, power=0.8, ratio=n[-1][1] / n[-1][0])
        return p


CASES = [Effect(), Insight(), TwoGroups(), Proportions(), Looks()]
