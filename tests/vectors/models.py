"""Makes models.csv and models.txt: /usr/bin/python3 models.py DIRECTORY-WITH-wine.csv-AND-breast_cancer.csv
(Python 3.11, numpy 1.24, scikit-learn 1.2.1.)
models.csv: 1,000 rows of 5 columns (the last constant), a number y and a class c, drawn here from seed 1.
models.txt, lines of a name and then numbers:
ridge LAMBDA | intercept | 5 weights for the raw values | 5 standard errors on z-scores | df | rss
    sklearn Ridge on z-scores (population sd); errors and df from the formulas in numpy
logit C | intercept | 5 weights on z-scores; sklearn LogisticRegression (newton-cholesky, tol 1e-12)
trees number|class | the first 12 predictions; sklearn HistGradientBoosting, defaults without early stopping
folds TABLE | pooled AUC (one against the rest) of logistic (z-scores) and of trees, row i in fold i % 5"""
import sys
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder, out = sys.argv[1], open("models.txt", "w")


def show(*values):
    print(*[v if isinstance(v, str) else f"{v:.17g}" for v in values], file=out)


def synthetic():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 5)) * [1, 10, 0.1, 3, 0] + [0, 100, 5, -2, 7]
    x = np.round(x, 6)
    signal = x[:, 0] * 2 + np.sin(x[:, 1] / 5) + (x[:, 3] > -1) * x[:, 0]
    y = np.round(signal + rng.normal(size=1000), 6)
    c = (signal + rng.logistic(size=1000) > 0.5).astype(int)
    with open("models.csv", "w") as f:
        print("a,b,c,d,e,y,class", file=f)
        for row, target, kind in zip(x, y, c):
            print(*[f"{v:.6f}" for v in row], f"{target:.6f}", kind, sep=",", file=f)
    return x, y, c


def ridge(x, y, lam):
    z = StandardScaler().fit_transform(x)
    sd = np.where(x.std(0) > 0, x.std(0), 1)
    m = Ridge(alpha=lam, solver="cholesky").fit(z, y)
    w = m.coef_ / sd
    rss = ((y - m.predict(z)) ** 2).sum()
    inverse = np.linalg.pinv(z.T @ z + lam * np.eye(5))
    df = np.trace(inverse @ z.T @ z)
    error = np.sqrt(rss / (len(y) - 1 - df) * np.diag(inverse @ z.T @ z @ inverse))
    show("ridge", float(lam), m.intercept_ - w @ x.mean(0), *w, *error, df, rss)


def logit(x, c, C):
    m = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(StandardScaler().fit_transform(x), c)
    show("logit", float(C), m.intercept_[0], *m.coef_[0])


def folds(name):
    d = np.genfromtxt(f"{folder}/{name}.csv", delimiter=",", skip_header=1)
    x, y = d[:, :-1], d[:, -1].astype(int)
    split = PredefinedSplit(np.arange(len(y)) % 5)
    aucs = []
    for m in (make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(tol=1e-10, max_iter=10000))),
              OneVsRestClassifier(HistGradientBoostingClassifier(early_stopping=False))):
        p = cross_val_predict(m, x, y, cv=split, method="predict_proba")
        kinds = [1] if p.shape[1] == 2 else range(p.shape[1])
        aucs.append(np.mean([roc_auc_score(y == k, p[:, k]) for k in kinds]))
    show("folds", name, *aucs)


x, y, c = synthetic()
for lam in (0.5, 100):
    ridge(x, y, lam)
for C in (1, 0.01):
    logit(x, c, C)
show("trees", "number", *HistGradientBoostingRegressor(early_stopping=False).fit(x, y).predict(x[:12]))
show("trees", "class", *HistGradientBoostingClassifier(early_stopping=False).fit(x, c).predict_proba(x[:12])[:, 1])
for table in ("breast_cancer", "wine"):
    folds(table)
