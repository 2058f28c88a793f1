"""Makes patterns.txt: /usr/bin/python3 patterns.py SHARED-DATA-FOLDER > patterns.txt (Python 3.11, no packages; minutes).
Brute force from the definitions, by other means than the miners: itemsets by intersecting sets of rows, sequences by
testing every candidate on every sequence, subgraphs by listing every connected set of edges of every graph.
Lines: KIND SHARE LONGEST COUNT CHECK, where CHECK is the sum modulo 2^64 of the FNV-1a hashes of the lines "SUPPORT PATTERN"
of all patterns. PATTERN: items with blanks between, in the order of their bytes; elements of a sequence joined by " > ";
of a subgraph "LABEL/DEGREE ..." of its vertices and "|" and "END-LABEL-END ..." of its edges, both sorted as bytes, an
END being LABEL/DEGREE and the smaller one first."""
import itertools
import math
import sys
from collections import defaultdict

folder = sys.argv[1]


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def show(kind, share, longest, found):
    check = sum(fnv(f"{support} {pattern}") for pattern, support in found) % 2**64
    print(kind, share, longest, len(found), check, flush=True)


baskets = [line.rstrip("\n").split("\t") for line in open(f"{folder}/transactions/online_retail_baskets.tsv")][1:]


def itemsets(share, longest):
    rows = [set(b[4].split()) for b in baskets]
    least, found, held = math.ceil(share * len(rows) - 1e-6), [], defaultdict(int)
    for i, row in enumerate(rows):
        for item in row:
            held[item] |= 1 << i
    items = sorted(x for x in held if bin(held[x]).count("1") >= least)

    def grow(pattern, inside, rest):
        for k, item in enumerate(rest):
            both = inside & held[item]
            support = bin(both).count("1")
            if support >= least:
                found.append((" ".join(pattern + [item]), support))
                if len(pattern) + 1 < longest:
                    grow(pattern + [item], both, rest[k + 1:])

    grow([], (1 << len(rows)) - 1, items)
    show("itemsets", share, longest, found)


def contains(sequence, pattern):
    at = 0
    for element in sequence:
        if at < len(pattern) and pattern[at] <= element:
            at += 1
    return at == len(pattern)


def sequences(share, longest):
    events = defaultdict(list)
    for place, b in enumerate(baskets):
        if b[2]:
            events[b[2]].append((b[1], place, frozenset(b[4].split())))
    rows = [[e[2] for e in sorted(events[c])] for c in sorted(events)]
    least, found = math.ceil(share * len(rows) - 1e-6), []
    items = sorted({x for row in rows for element in row for x in element})
    items = [x for x in items if sum(any(x in e for e in row) for row in rows) >= least]

    def grow(pattern, inside, length):
        if length == longest:
            return
        for item in items:
            longer = [pattern + [frozenset([item])]]
            if pattern and item > max(pattern[-1]):
                longer.append(pattern[:-1] + [pattern[-1] | {item}])
            for candidate in longer:
                held = [row for row in inside if contains(row, candidate)]
                if len(held) >= least:
                    found.append((" > ".join(" ".join(sorted(e)) for e in candidate), len(held)))
                    grow(candidate, held, length + 1)

    grow([], rows, 0)
    show("sequences", share, longest, found)


def molecules():
    graphs = []
    for line in open(f"{folder}/graphs/nci_molecules_500.txt"):
        word = line.split()
        if word[0] == "t":
            graphs.append(({}, {}))
        elif word[0] == "v":
            graphs[-1][0][int(word[1])] = word[2]
        else:
            graphs[-1][1][frozenset((int(word[1]), int(word[2])))] = word[3]
    return graphs


def form(labels, edges, subset):
    """The least spelling of the subgraph over all numberings of its vertices; and its description."""
    vertices = sorted({v for e in subset for v in e})
    degree = {v: sum(v in e for e in subset) for v in vertices}
    kind = {v: (labels[v], degree[v]) for v in vertices}
    groups = [list(g) for _, g in itertools.groupby(sorted(vertices, key=lambda v: kind[v]), key=lambda v: kind[v])]
    best = None
    for order in itertools.product(*(itertools.permutations(g) for g in groups)):
        number = {v: i for i, v in enumerate(itertools.chain(*order))}
        spelt = sorted((min(number[v] for v in e), max(number[v] for v in e), edges[e]) for e in subset)
        best = spelt if best is None or spelt < best else best
    name = {v: f"{kind[v][0]}/{kind[v][1]}" for v in vertices}
    ends = sorted("-".join([min(name[v] for v in e), edges[e], max(name[v] for v in e)]) for e in subset)
    text = " ".join(sorted(name.values())) + " | " + " ".join(ends)
    return (tuple(sorted(kind.values())), tuple(best)), text


def subgraphs(share, longest):
    graphs = molecules()
    least, support, text = math.ceil(share * len(graphs) - 1e-6), defaultdict(int), {}
    for labels, edges in graphs:
        level = {frozenset([e]) for e in edges}
        forms = set()
        for size in range(longest):
            forms |= {form(labels, edges, s) for s in level}
            touching = defaultdict(set)
            for e in edges:
                for v in e:
                    touching[v].add(e)
            level = {s | {n} for s in level for e in s for v in e for n in touching[v] if n not in s}
        for key, words in forms:
            support[key] += 1
            text[key] = words
    show("subgraphs", share, longest, [(text[k], n) for k, n in support.items() if n >= least])


subgraphs(0.05, 5)
itemsets(0.02, 10)
itemsets(0.01, 10)
sequences(0.05, 10)
sequences(0.03, 10)
itemsets(0.005, 10)
