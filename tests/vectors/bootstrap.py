"""Bootstrap intervals of a mean and of a difference of means, for tests/component/test_resample.c.
    /usr/bin/python3 tests/vectors/bootstrap.py > tests/vectors/bootstrap.txt
Made with SciPy 1.10 and NumPy 1.24. Lines: `case` n0 n1 rounds, then x, y, the replicates of scipy.stats.bootstrap, their
studentised sizes, and: estimate, standard error, SciPy's BCa interval (95 %), the symmetric studentised interval. The
draws behind SciPy's replicates are made once more from its seed to studentise them."""
import numpy as np
from scipy import stats

ROUNDS = 399


def draws(n, rng):
    return rng.integers(0, n, (ROUNDS, n))


for seed, n0, n1 in ((1, 12, 9), (2, 25, 40), (3, 15, 0)):
    data = np.random.default_rng(seed)
    groups = [data.lognormal(0.3, 0.8, n) for n in (n0, n1) if n]
    difference = lambda *g, axis=-1: np.mean(g[0], axis) - (np.mean(g[1], axis) if len(g) > 1 else 0)
    got = stats.bootstrap(groups, difference, n_resamples=ROUNDS, method="BCa", vectorized=True,
                          random_state=np.random.default_rng(seed))
    again = np.random.default_rng(seed)
    drawn = [g[draws(len(g), again)] for g in groups]
    replicates = difference(*drawn)
    assert np.allclose(replicates, got.bootstrap_distribution)
    estimate = difference(*groups)
    error = lambda gs: np.sqrt(sum(np.var(g, axis=-1, ddof=1) / g.shape[-1] for g in gs))
    studentised = np.abs(replicates - estimate) / error(drawn)
    se = error(groups)
    half = np.sort(studentised)[int(np.ceil(0.95 * (ROUNDS + 1) - 1e-9)) - 1] * se
    print("case", n0, n1, ROUNDS)
    for values in (*groups, replicates, studentised):
        print(*(f"{v:.17g}" for v in values))
    print(*(f"{v:.17g}" for v in (estimate, se, *got.confidence_interval, estimate - half, estimate + half)))
