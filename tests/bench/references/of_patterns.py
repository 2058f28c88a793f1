"""Patterns: pattern_discovery beside a search over packed bit columns in NumPy, which is how the usual Python library does it;
pattern_significance_analyzer beside SciPy's fisher_exact."""
import math
import random

import numpy as np

from case import Case

ITEMS = 400


def baskets(n, seed):
    """Some items are common, most are rare (Zipf), and ten planted groups come together."""
    rng = random.Random(seed)
    weights = [1 / (i + 4) for i in range(ITEMS)]
    groups = [rng.sample(range(40, ITEMS), 4) for _ in range(10)]
    out = []
    for _ in range(n):
        row = set(rng.choices(range(ITEMS), weights, k=rng.randint(3, 18)))
        if rng.random() < 0.3:
            row.update(rng.choice(groups))
        out.append(sorted(row))
    return out


class Itemsets(Case):
    component, measure, title = "pattern_discovery", "itemsets found (support 1 %)", "NumPy: packed bit columns, AND and count"
    share, file = 0.01, "rows.tsv"
    options, flags = ("min_support=0.01", "max_length=60", "min_confidence=1"), ("--batch-size", "4096")

    def write(self, folder, n):
        with open(f"{folder}/{self.file}", "w") as f:
            f.write("item\n" + "".join(" ".join(f"i{v}" for v in row) + "\n" for row in baskets(n, n)))

    def quality(self, result, folder):
        return result["itemset_count"]

    def read(self, folder):
        return [line.split() for line in open(f"{folder}/{self.file}")][1:]

    def reference(self, rows):
        ones = np.array([bin(i).count("1") for i in range(65536)], np.uint8)
        least, number, found = math.ceil(self.share * len(rows) - 1e-6), {}, 0
        for row in rows:
            for item in row:
                number[item] = number.get(item, 0) + 1
        names = sorted(x for x in number if number[x] >= least)
        place = {x: i for i, x in enumerate(names)}
        table = np.zeros((len(names), -(-len(rows) // 16) * 16), bool)
        for i, row in enumerate(rows):
            table[[place[x] for x in row if x in place], i] = True
        bits = np.packbits(table, axis=1).view(np.uint16)

        def grow(inside, rest):
            both = bits[rest] & inside
            keep = np.flatnonzero(ones[both].sum(axis=1, dtype=np.int64) >= least)
            return len(keep) + sum(grow(both[k], rest[keep[at + 1:]]) for at, k in enumerate(keep) if at + 1 < len(keep))

        return grow(np.full(bits.shape[1], 0xFFFF, np.uint16), np.arange(len(names)))


class RareItemsets(Itemsets):
    measure, title = "itemsets found (support 0.3 %)", "NumPy: the same, rarer items"
    share, options = 0.003, ("min_support=0.003", "max_length=60", "min_confidence=1")


class Significance(Case):
    """Single items against an outcome; Millrace counts them from the rows, SciPy begins with the counts."""
    component, measure, title = "pattern_significance_analyzer", "findings at FDR 0.05", "SciPy fisher_exact and Benjamini-Hochberg"
    options, flags, file = ("top=20000", "max_length=1", "min_support=0.001"), ("--batch-size", "4096"), "rows.tsv"
    modules = ("scipy.stats",)

    def write(self, folder, n):
        rng = random.Random(9)
        with open(f"{folder}/{self.file}", "w") as f:
            f.write("item\tsuccess\n")
            for row in baskets(n, n):
                good = rng.random() < 0.3 + 0.25 * (7 in row) + 0.2 * (20 in row)
                f.write(" ".join(f"i{v}" for v in row) + f"\t{int(good)}\n")

    def quality(self, result, folder):
        tests = [t for t in result["tests"] if t["p_bh"] is not None]
        return sum(t["p_bh"] < 0.05 for t in tests)

    def read(self, folder):
        lines = [line.rstrip("\n").split("\t") for line in open(f"{folder}/{self.file}")][1:]
        y = np.array([int(b) for _, b in lines])
        with_item = {}
        for i, (a, _) in enumerate(lines):
            for item in a.split():
                with_item.setdefault(item, []).append(i)
        least = math.ceil(0.001 * len(y) - 1e-6)
        return [(y[at].sum(), len(at), y.sum(), len(y)) for at in with_item.values() if len(at) >= least]

    def reference(self, counts):
        from scipy.stats import fisher_exact
        p = np.sort([fisher_exact([[a, n - a], [s - a, m - n - (s - a)]])[1] for a, n, s, m in counts])
        q = np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
        return int((q < 0.05).sum())


CASES = [Itemsets(), RareItemsets(), Significance()]
