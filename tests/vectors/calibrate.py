"""Makes calibrate.txt: /usr/bin/python3 calibrate.py (Python 3.11, numpy 1.24, scikit-learn 1.2.1.)
First line: rows. Then score and y of each (400 drawn here from seed 9; scores to two places, so that some are equal).
Then 11 lines for the scores 0, 0.1 ... 1: what IsotonicRegression(out_of_bounds="clip") gives, and what the
sigmoid of sklearn.calibration (Platt with smoothed targets) gives."""
import numpy as np
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

rng = np.random.default_rng(9)
score = np.round(rng.random(400), 2)
y = (rng.random(400) < score**2).astype(int)
at = np.linspace(0, 1, 11)
iso = IsotonicRegression(out_of_bounds="clip").fit(score, y).predict(at)
platt = _SigmoidCalibration().fit(score, y).predict(at)
with open("calibrate.txt", "w") as out:
    print(len(score), file=out)
    for s, v in zip(score, y):
        print(f"{s:.2f} {v}", file=out)
    for a, i, p in zip(at, iso, platt):
        print(f"{a:.17g} {i:.17g} {p:.17g}", file=out)
