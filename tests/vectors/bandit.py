#!/usr/bin/python3
"""bandit.txt: policies written in NumPy from their papers, apart from worker/kit/bandit.c, on streams that the test makes
again. Run in this folder: /usr/bin/python3 bandit.py [shared data folder] > bandit.txt

unit(i) = splitmix64(i) / 2^64 cut to 53 bits. In stream s, round t, arm a:
  context x[f] = 2 unit(10^9 + (s 3000 + t) 8 + f) - 1, x[3] = 1
  reward = unit((s 3000 + t) 8 + a) < p, with p = chance[world][a], in world 2 clip(0.5 + theta[a] . x, 0, 1), where
  theta[a][f] = 0.6 (2 unit(5 10^9 + 8 a + f) - 1), f < 3, theta[a][3] = 0

  regret WORLD POLICY streams rounds regret    mean over the streams of the sum of (best chance - chosen chance)
  replay POLICY matched sum                    on the log of 4000 rounds of stream 999 of world 2, arm = floor(5 unit(7 10^9 + t))
  value TARGET ips snips                       on the same log, propensities q(t) = 0.1 + 0.2 unit(8 10^9 + t), target
                                               probability unit(9 10^9 + t)
  dr a value                                   dr of a constant model 0.5 for the target that always takes arm 1
  best i probability                           of arm i to be best, Beta(1 + s, 1 + n - s) with s, n below, by 2e7 draws
  obd NAME POLICY matched sum                  replay on the Open Bandit rows, item = arm, features position, user_f0..3
"""
import csv
import sys
import numpy as np

M = (1 << 64) - 1
CHANCE = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.03, 0.05, 0.02, 0.04, 0.08]]
ROUNDS = 1500


def unit(i):
    with np.errstate(over="ignore"):
        x = np.asarray(i).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(float) * 2.0**-53


THETA = np.zeros((5, 4))
THETA[:, :3] = 0.6 * (2 * unit(5 * 10**9 + 8 * np.arange(5)[:, None] + np.arange(3)) - 1)


def contexts(s, t):
    x = 2 * unit(10**9 + (s[:, None] * 3000 + t) * 8 + np.arange(4)) - 1
    x[:, 3] = 1
    return x


def chances(world, s, x):
    if world < 2:
        return np.tile(CHANCE[world], (len(s), 1))
    return np.clip(0.5 + x @ THETA.T, 0, 1)


def rewards(s, t, p):
    return unit((s[:, None] * 3000 + t) * 8 + np.arange(5)) < p


def kl_bound(mean, n, t):
    def kl(p, q):
        with np.errstate(divide="ignore", invalid="ignore"):
            a = np.where(p > 0, p * np.log(p / q), 0)
            b = np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0)
        return a + b
    lo, hi = mean.copy(), np.ones_like(mean)
    for _ in range(60):
        q = (lo + hi) / 2
        inside = n * kl(mean, q) <= np.log(t)
        lo, hi = np.where(inside, q, lo), np.where(inside, hi, q)
    return lo


class Policy:
    """Runs r streams beside each other."""
    def __init__(self, name, r, k, d, rng, alpha=1.0, lam=1.0, eps=0.1, noise=0.5):
        self.name, self.rng, self.alpha, self.eps, self.noise = name, rng, alpha, eps, noise
        self.n, self.s, self.t = np.zeros((r, k)), np.zeros((r, k)), np.zeros(r)
        if name in ("linucb", "thompson_linear"):
            self.A = np.tile(np.eye(d) * lam, (r, k, 1, 1))
            self.inv = np.tile(np.eye(d) / lam, (r, k, 1, 1))
            self.b = np.zeros((r, k, d))

    def choose(self, x):
        n, s, r, k = self.n, self.s, *self.n.shape
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(n > 0, s / n, np.inf)
            if self.name == "epsilon_greedy":
                best = mean.argmax(1)
                roll = (self.rng.random(r) < self.eps) & (self.t >= k)
                return np.where(roll, self.rng.integers(0, k, r), best)
            if self.name == "ucb1":
                return np.where(n > 0, mean + self.alpha * np.sqrt(2 * np.log(self.t[:, None]) / n), np.inf).argmax(1)
            if self.name == "kl_ucb":
                m = np.where(n > 0, mean, 0.0)
                return np.where(n > 0, kl_bound(m, n, np.maximum(self.t[:, None], 1)), np.inf).argmax(1)
        if self.name == "thompson_beta":
            return self.rng.beta(1 + s, 1 + n - s).argmax(1)
        if self.name == "thompson_gaussian":
            return self.rng.normal(s / (n + 1), self.noise / np.sqrt(n + 1)).argmax(1)
        theta = np.einsum("rkij,rkj->rki", self.inv, self.b)
        width = np.sqrt(np.einsum("ri,rkij,rj->rk", x, self.inv, x))
        mean = np.einsum("rki,ri->rk", theta, x)
        if self.name == "linucb":
            return (mean + self.alpha * width).argmax(1)
        low = np.linalg.cholesky(self.inv)   # draws theta itself
        draw = theta + self.noise * np.einsum("rkij,rkj->rki", low, self.rng.normal(size=theta.shape))
        return np.einsum("rki,ri->rk", draw, x).argmax(1)

    def learn(self, rows, a, x, y):
        self.t[rows] += 1
        self.n[rows, a] += 1
        self.s[rows, a] += y
        if hasattr(self, "A"):
            self.A[rows, a] += x[:, :, None] * x[:, None, :]
            self.b[rows, a] += y[:, None] * x
            self.inv[rows, a] = np.linalg.inv(self.A[rows, a])


def regret(world, name, streams):
    s, rows = np.arange(streams), np.arange(streams)
    p, total = Policy(name, streams, 5, 4, np.random.default_rng(1)), 0
    for t in range(ROUNDS):
        x = contexts(s, t)
        c = chances(world, s, x)
        a = p.choose(x)
        total += (c.max(1) - c[rows, a]).mean()
        p.learn(rows, a, x, rewards(s, t, c)[rows, a].astype(float))
    return total


def replay(name, arms, x, y, k, d):
    p, matched, total, one = Policy(name, 1, k, d, None), 0, 0.0, np.zeros(1, int)
    for i in range(len(arms)):
        if p.choose(x[i:i + 1])[0] != arms[i]:
            continue
        matched += 1
        total += y[i]
        p.learn(one, arms[i:i + 1], x[i:i + 1], y[i:i + 1])
    return matched, total


def main():
    RANDOM, CERTAIN = ("epsilon_greedy", "thompson_beta", "thompson_gaussian"), ("ucb1", "kl_ucb")
    for world in (0, 1):
        for name in RANDOM + CERTAIN:
            streams = 600 if name in RANDOM else 60
            print("regret", world, name, streams, ROUNDS, "%.10g" % regret(world, name, streams))
    for name in ("linucb", "thompson_linear"):
        print("regret", 2, name, 100, ROUNDS, "%.10g" % regret(2, name, 100))

    T = np.arange(4000)
    s = np.full(1, 999)
    x = np.vstack([contexts(s, t) for t in T])
    y = np.vstack([rewards(s, t, chances(2, s, x[t:t + 1])) for t in T]).astype(float)
    arm = (5 * unit(7 * 10**9 + T)).astype(int)
    y = y[T, arm]
    for name in ("ucb1", "kl_ucb", "linucb"):
        print("replay", name, *replay(name, arm, x, y, 5, 4))
    q, target = 0.1 + 0.2 * unit(8 * 10**9 + T), unit(9 * 10**9 + T)
    w = target / q
    print("value", "%.17g %.17g" % ((w * y).mean(), (w * y).sum() / w.sum()))
    w = (arm == 1) / q
    print("dr", "%.17g" % (0.5 + w * (y - 0.5)).mean())
    sums, pulls = np.array([3, 9, 30, 0, 12]), np.array([10, 30, 100, 2, 50])
    draws = np.zeros(5)
    rng = np.random.default_rng(2)
    for _ in range(40):
        draws += np.bincount(rng.beta(1 + sums, 1 + pulls - sums, (500000, 5)).argmax(1), minlength=5)
    for i in range(5):
        print("best", i, "%.6f" % (draws[i] / draws.sum()))
    if len(sys.argv) > 1:
        for part in ("random", "bts"):
            rows = list(csv.DictReader(open(f"{sys.argv[1]}/bandit/open_bandit_men_{part}.csv")))
            arm = np.array([int(r["item_id"]) for r in rows])
            y = np.array([float(r["click"]) for r in rows])
            x = np.array([[float(r[c]) for c in ("position", "user_f0", "user_f1", "user_f2", "user_f3")] for r in rows])
            for name in ("ucb1", "kl_ucb", "linucb"):
                print("obd", part, name, *replay(name, arm, x, y, 34, 5))


if __name__ == "__main__":
    main()
