"""Itemsets of N baskets: millrace-worker beside a level-free search over packed bit columns in numpy, which is how the
usual Python library does it (a column of bits an item, supports by AND and count). Both must find the same itemsets.
usage: /usr/bin/python3 bench_pattern_discovery.py MILLRACE-WORKER online_retail_baskets.tsv [MIN_SUPPORT [BASKETS...]]
Baskets beyond the file's are drawn from it with replacement, each item kept with probability 0.9 (fixed seed).
Seconds are of one core. Not counted: writing the file; for numpy, reading it."""
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

worker, path = sys.argv[1:3]
share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.02
baskets = [line.rstrip("\n").split("\t")[4].split() for line in open(path)][1:]
ones = np.array([bin(i).count("1") for i in range(65536)], np.uint8)


def draw(n):
    rng = random.Random(1)
    return baskets[:n] + [[x for i, x in enumerate(rng.choice(baskets)) if i == 0 or rng.random() < 0.9]
                          for _ in range(n - len(baskets))]


def reference(rows):
    start = time.process_time()
    least, number = math.ceil(share * len(rows) - 1e-6), {}
    for row in rows:
        for item in set(row):
            number[item] = number.get(item, 0) + 1
    names = sorted(x for x in number if number[x] >= least)
    place = {x: i for i, x in enumerate(names)}
    table = np.zeros((len(names), -(-len(rows) // 16) * 16), bool)
    for i, row in enumerate(rows):
        for item in row:
            if item in place:
                table[place[item], i] = True
    bits = np.packbits(table, axis=1).view(np.uint16)
    found = {}

    def grow(pattern, inside, rest):
        both = bits[rest] & inside
        support = ones[both].sum(axis=1, dtype=np.int64)
        keep = np.flatnonzero(support >= least)
        for at, k in enumerate(keep):
            longer = pattern + (rest[k],)
            found[longer] = int(support[k])
            if at + 1 < len(keep):
                grow(longer, both[k], rest[keep[at + 1:]])

    grow((), np.full(bits.shape[1], 0xFFFF, np.uint16), np.arange(len(names)))
    return {" ".join(names[i] for i in p): s for p, s in found.items()}, time.process_time() - start


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def millrace(rows, folder):
    table = os.path.join(folder, "baskets.tsv")
    with open(table, "w") as f:
        f.write("item\n" + "".join(" ".join(row) + "\n" for row in rows))
    before = cpu_of_children()
    out = subprocess.run([worker, "try", "pattern_discovery", "--input", table, "--set", f"min_support={share}", "--set",
                          "max_length=60", "--set", "min_confidence=1", "--save", folder], capture_output=True, text=True)
    cpu = cpu_of_children() - before
    if out.returncode:
        sys.exit(out.stderr)
    lines = open(os.path.join(folder, "patterns")).read().splitlines()[1:]
    return {line.split("\t")[3]: int(line.split("\t")[1]) for line in lines}, cpu, out.stdout.splitlines()[1].strip()


print(f"min_support {share}")
for n in [int(x) for x in sys.argv[4:]] or (1000, 10000, 100000):
    rows = draw(n)
    with tempfile.TemporaryDirectory() as folder:
        ours, cpu, said = millrace(rows, folder)
    theirs, seconds = reference(rows)
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    same = "the same" if ours == theirs else "DIFFERENT"
    print(f"{n:7} baskets, {len(ours):6} itemsets, {same}: millrace {cpu:.2f} s with reading the file ({said}); "
          f"numpy {seconds:.2f} s, {mine:.0f} MiB with the baskets", flush=True)
