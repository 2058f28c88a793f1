#!/usr/bin/python3
"""stopping.txt: bounds, predictive power and stopping rules, written apart from worker/kit/{sequential,trials}.c, with NumPy
and SciPy. Run in this folder: /usr/bin/python3 stopping.py > stopping.txt

  cross LOOKS TWO_SIDED DRIFT z... upper... lower...   chances to stop at each look, by Simpson's rule on 4001 points
  predictive z t bound two_sided p                     by integrating the conditional power over the posterior of the drift
  played POOL RULE used finished kept...               rules on the reports that the test makes again: 30 trials of up to 27
                                                       steps, see reports(); trials one after the other (pool 0) or step by
                                                       step (pool 1)

  constant KIND ALPHA LOOKS c ratio80 ratio90          two-sided exact designs (0 Pocock, 1 O'Brien-Fleming) by root finding on
                                                       the same chances, 801 points: the constant, and the largest sample
                                                       over the fixed one for power 0.8 and 0.9

The three printed digits of Jennison and Turnbull's tables are in the test as well.
"""
import math
import numpy as np
from scipy.integrate import quad, simpson
from scipy.optimize import brentq
from scipy.stats import norm

M = (1 << 64) - 1


def unit(i):
    x = (i + 0x9E3779B97F4A7C15) & M
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M
    return ((x ^ (x >> 31)) >> 11) * 2.0**-53


def crossing(z, two, drift, points=4001):
    K = len(z)
    dt = 1 / K
    sd = math.sqrt(dt)
    grid, dens, up, low = None, None, [], []
    for k in range(1, K + 1):
        t = k / K
        b = z[k - 1] * math.sqrt(t)
        src = np.array([0.0]) if grid is None else grid
        tail_u, tail_l = norm.sf((b - src - drift * dt) / sd), norm.cdf((-b - src - drift * dt) / sd)
        if grid is None:
            up.append(tail_u[0])
            low.append(tail_l[0] if two else 0)
        else:
            up.append(simpson(dens * tail_u, x=grid))
            low.append(simpson(dens * tail_l, x=grid) if two else 0)
        new = np.linspace(-b if two else drift * t - 9 * math.sqrt(t), b, points)
        step = norm.pdf((new[:, None] - src[None, :] - drift * dt) / sd) / sd
        dens = step[:, 0] if grid is None else simpson(step * dens[None, :], x=grid)
        grid = new
    return up, low


def exact_design(kind, alpha, looks):
    shape = [math.sqrt(looks / k) if kind else 1.0 for k in range(1, looks + 1)]

    def sides(c, drift):
        up, low = crossing([c * s for s in shape], True, drift, 801)
        return sum(up), sum(low)

    c = brentq(lambda c: sum(sides(c, 0)) - alpha, 1, 4, xtol=1e-10)
    ratios = []
    for power in (0.8, 0.9):
        fixed = norm.isf(alpha / 2) + norm.ppf(power)  # power: to stop on the side of the drift
        ratios.append((brentq(lambda d: sides(c, d)[0] - power, 0, 9, xtol=1e-10) / fixed) ** 2)
    return c, *ratios


def reports(pool):
    """(trial, step, value): trial i has 27 steps, every seventh 10."""
    rows = []
    for i in range(30):
        for s in range(1, (10 if i % 7 == 3 else 27) + 1):
            level, speed = unit(10**6 * (pool + 1) + i), 0.05 + 0.3 * unit(2 * 10**6 * (pool + 1) + i)
            rows.append((i, s, level * (1 - math.exp(-speed * s)) + 0.05 * unit(10**9 * (pool + 1) + 100 * i + s)))
    return rows if pool == 0 else sorted(rows, key=lambda r: (r[1], r[0]))


def median_rule(rows, total):
    seen, kept, stopped, done = {}, {}, set(), []
    for i, s, v in rows:
        if i in stopped:
            continue
        seen.setdefault(i, {})[s] = v
        kept[i] = kept.get(i, 0) + 1
        others = [d[s] for d in done if s in d]
        if s >= 3 and len(others) >= 5 and max(seen[i].values()) < np.median(others):
            stopped.add(i)
        elif kept[i] == total[i]:
            done.append(seen[i])
    return kept


def asha(rows, total, r=1, eta=3):
    kept, stopped, rungs, at = {}, set(), {}, {}
    for i, s, v in rows:
        if i in stopped:
            continue
        kept[i] = kept.get(i, 0) + 1
        while i not in stopped and s >= r * eta**at.get(i, 0):
            rung = rungs.setdefault(at.get(i, 0), [])
            rung.append(v)
            top = sorted(rung, reverse=True)[max(1, math.floor(len(rung) / eta)) - 1]
            if v < top:
                stopped.add(i)
            at[i] = at.get(i, 0) + 1
    return kept


def halve(curves, ids, r, eta, rounds, kept):
    ids = list(ids)
    for _ in range(rounds):
        if len(ids) == 1:
            break
        scored = []
        for i in ids:
            steps = [s for s, _ in curves[i]]
            n = next((k + 1 for k, s in enumerate(steps) if s >= r), len(steps))
            kept[i] = max(kept.get(i, 0), n)
            scored.append((-(curves[i][n - 1][1] if steps[n - 1] >= r else -math.inf), i))
        ids = [i for _, i in sorted(scored)[:max(1, math.floor(len(ids) / eta))]]
        r *= eta
    for i in ids:
        kept[i] = len(curves[i])


def successive_halving(curves, R, r=1, eta=3):
    kept, rounds = {}, 0
    while r * eta**rounds < R:
        rounds += 1
    halve(curves, sorted(curves), r, eta, rounds, kept)
    return kept


def hyperband(curves, R, eta=3):
    kept, left = {}, sorted(curves)
    smax = int(math.log(R) / math.log(eta) + 1e-9)
    while left:
        for s in range(smax, -1, -1):
            n = math.ceil((smax + 1) / (s + 1) * eta**s - 1e-9)
            if left:
                halve(curves, left[:n], R / eta**s, eta, s, kept)
                left = left[n:]
    return kept


def main():
    for two, drift, z in [(1, 0.0, [4.56, 3.23, 2.63, 2.28, 2.04]), (1, 2.8, [2.4, 2.4, 2.4, 2.4]), (0, 0.0, [2.0, 1.9, 1.8]),
                          (0, 3.0, [2.5, 2.2, 2.0, 1.9, 1.8, 1.7]), (1, 3.2, [2.2] * 10)]:
        up, low = crossing(z, two, drift)
        print("cross", len(z), two, drift, *z, *("%.15g" % v for v in up + low))

    for z, t, bound, two in [(1.0, 0.5, 2.04, 1), (0.1, 0.25, 1.96, 1), (-1.5, 0.6, 2.0, 1), (2.0, 0.4, 1.7, 0)]:
        def power(d):  # B(1) given B(t) = z sqrt(t) and drift d; posterior of d: normal(z / sqrt(t), 1 / t)
            m, s = z * math.sqrt(t) + d * (1 - t), math.sqrt(1 - t)
            p = norm.sf((bound - m) / s) + (norm.cdf((-bound - m) / s) if two else 0)
            return p * norm.pdf(d, z / math.sqrt(t), 1 / math.sqrt(t))
        print("predictive", z, t, bound, two, "%.12g" % quad(power, -30, 30, epsabs=1e-13, limit=400)[0])

    for kind, alpha, looks in [(k, a, n) for k in (0, 1) for a, n in
                               [(0.05, 2), (0.05, 3), (0.05, 4), (0.05, 5), (0.05, 10), (0.01, 2), (0.01, 5), (0.1, 2), (0.1, 5)]]:
        print("constant", kind, alpha, looks, *("%.9f" % v for v in exact_design(kind, alpha, looks)))

    for pool in (0, 1):
        rows = reports(pool)
        curves = {}
        for i, s, v in rows:
            curves.setdefault(i, []).append((s, v))
        total = {i: len(c) for i, c in curves.items()}
        played = {"median": median_rule(rows, total), "asha": asha(rows, total),
                  "successive_halving": successive_halving(curves, 27), "hyperband": hyperband(curves, 27)}
        for rule, kept in played.items():
            k = [kept.get(i, 0) for i in range(30)]
            print("played", pool, rule, sum(k), sum(k[i] == total[i] for i in range(30)), *k)


if __name__ == "__main__":
    main()
