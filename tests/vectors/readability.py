"""Readability and MTLD of passages, for tests/component/test_linguistic_analyzer.c:
    python3 tests/vectors/readability.py > tests/vectors/readability.jsonl
The syllables are annotated by hand: a bar stands between the syllables of a word, and sentences are counted by hand.
Formulas from the papers that docs/components/linguistic_analyzer.md names; MTLD written from McCarthy and Jarvis (2010)
on its own. Python's standard library only."""
import json
import math

PASSAGES = [
    (1, "The cat sat on the mat."),
    (2, "Write a short sto|ry a|bout a drag|on. Make it fun|ny."),
    (3, "Ex|plain how a comp|ut|er stores num|bers. Use sim|ple words. Do not use more than three par|a|graphs, "
        "be|cause the read|er is young."),
    (4, "The riv|er runs through the val|ley and past the old mill. In win|ter it is slow and dark. When the snow melts, "
        "the wa|ter ris|es and the mill wheel turns a|gain. Chil|dren from the vil|lage come to watch it, and the mill|er "
        "tells them sto|ries a|bout the year the riv|er took the bridge, the year the riv|er took the barn, and the year "
        "the riv|er took noth|ing at all."),
    (3, "Com|pare the two meth|ods and state which is bet|ter for a small com|pa|ny. Your an|swer must be no long|er than "
        "120 words, and it should give at least two ex|am|ples. If you are not sure, say so and ask for more "
        "in|for|ma|tion be|fore you an|swer."),
    (2, "In|ter|na|tion|al or|gan|i|za|tions co|or|di|nate hu|man|i|tar|i|an as|sis|tance. Gov|ern|ment rep|re|sent|a|tives "
        "e|val|u|ate the pro|pos|als."),
]
STRIP = ".,;:!?\"'()"


def mtld_pass(tokens):
    factors, types, n = 0.0, set(), 0
    for t in tokens:
        types.add(t)
        n += 1
        if len(types) / n <= 0.72:
            factors, types, n = factors + 1, set(), 0
    if n:
        factors += (1 - len(types) / n) / (1 - 0.72)
    return len(tokens) / factors if factors else math.nan


for sentences, marked in PASSAGES:
    words = [w.strip(STRIP) for w in marked.split()]
    plain = [w.replace("|", "") for w in words]
    syllables = [w.count("|") + 1 for w in words]
    w, s, y = len(words), sentences, sum(syllables)
    letters = sum(c.isalpha() for p in plain for c in p)
    characters = sum(c.isalnum() for p in plain for c in p)
    poly = sum(k >= 3 for k in syllables)
    lower = [p.lower() for p in plain]
    mtld = (mtld_pass(lower) + mtld_pass(lower[::-1])) / 2 if w >= 10 else math.nan
    print(json.dumps({
        "prompt": marked.replace("|", ""),
        "flesch_ease": 206.835 - 1.015 * w / s - 84.6 * y / w,
        "kincaid_grade": 0.39 * w / s + 11.8 * y / w - 15.59,
        "gunning_fog": 0.4 * (w / s + 100 * poly / w),
        "smog": 1.0430 * math.sqrt(30 * poly / s) + 3.1291,
        "ari": 4.71 * characters / w + 0.5 * w / s - 21.43,
        "coleman_liau": 5.88 * letters / w - 29.6 * s / w - 15.8,
        "mtld": None if math.isnan(mtld) else mtld,
        "words": w,
        "sentence_words": w / s,
        "long_words": 100 * sum(sum(c.isalpha() for c in p) > 6 for p in plain) / w,
    }))
