"""Models: ml_model_service, failure_mode_analyzer, quality_scorer, dimensionality_reducer beside scikit-learn."""
import json

import numpy as np

from case import Case, save


def signal_rows(n, seed, width=20):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width))
    z = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) - (x[:, 4] > 0.5)
    return x, (z + rng.logistic(size=n) > 0).astype(int)


class Model(Case):
    component, measure = "ml_model_service", "cross-validated AUC"
    roles, flags = ("success=y",), ("--batch-size", "4096")

    def write(self, folder, n):
        x, y = signal_rows(n, 1)
        save(f"{folder}/{self.file}", np.column_stack([x, y]), [f"x{j}" for j in range(20)] + ["y"])

    def quality(self, result, folder):
        return result["validation"][0]["pooled"]["auc"]

    def reference(self, rows):
        from sklearn.metrics import roc_auc_score
        from sklearn.model_selection import KFold, cross_val_predict
        x, y = rows[:, :-1], rows[:, -1]
        p = cross_val_predict(self.learner(), x, y, cv=KFold(5), method="predict_proba")[:, 1]
        self.learner().fit(x, y)
        return roc_auc_score(y, p)


class Logistic(Model):
    modules = ("sklearn.linear_model", "sklearn.model_selection", "sklearn.preprocessing", "sklearn.metrics", "sklearn.pipeline")
    kind, title, options = "logistic", "scikit-learn LogisticRegression, 5 folds and a fit", ("model=logistic",)

    def learner(self):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        return make_pipeline(StandardScaler(), LogisticRegression())


class Trees(Model):
    modules = ("sklearn.ensemble", "sklearn.model_selection", "sklearn.metrics")
    kind, title, options = "trees", "scikit-learn HistGradientBoosting, 5 folds and a fit", ("model=trees",)

    def learner(self):
        from sklearn.ensemble import HistGradientBoostingClassifier
        return HistGradientBoostingClassifier(early_stopping=False)


class Ridge(Case):
    modules = Logistic.modules
    component, measure, title = "ml_model_service", "cross-validated R2", "scikit-learn Ridge, 5 folds and a fit"
    options, roles, flags = ("model=ridge",), ("outcome=y",), Model.flags

    def write(self, folder, n):
        rng = np.random.default_rng(2)
        x = rng.normal(size=(n, 20))
        y = x @ rng.normal(size=20) + 2 * rng.normal(size=n)
        save(f"{folder}/{self.file}", np.column_stack([x, y]), [f"x{j}" for j in range(20)] + ["y"])

    def quality(self, result, folder):
        return result["validation"][0]["pooled"]["r2"]

    def reference(self, rows):
        from sklearn.linear_model import Ridge as Linear
        from sklearn.metrics import r2_score
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        make = lambda: make_pipeline(StandardScaler(), Linear(1.0))
        p = cross_val_predict(make(), rows[:, :-1], rows[:, -1], cv=KFold(5))
        make().fit(rows[:, :-1], rows[:, -1])
        return r2_score(rows[:, -1], p)


class Anomalies(Case):
    """Failed rows are far from the others; the AUC of the anomaly score tells how well they are found without looking."""
    component, measure, title = "failure_mode_analyzer", "AUC of the score", "scikit-learn IsolationForest, 500 trees of 256"
    options, roles, modules = ("trees=500",), ("success=ok",), ("sklearn.ensemble", "sklearn.metrics")

    def write(self, folder, n):
        rng = np.random.default_rng(3)
        bad = rng.random(n) < 0.05
        x = rng.normal(size=(n, 20)) + bad[:, None] * rng.normal(0, 0.8, (n, 20))
        save(f"{folder}/{self.file}", np.column_stack([x, ~bad]), [f"x{j}" for j in range(20)] + ["ok"])

    def quality(self, result, folder):
        return result["anomaly_auc"]

    def reference(self, rows):
        from sklearn.ensemble import IsolationForest
        from sklearn.metrics import roc_auc_score
        f = IsolationForest(n_estimators=500, max_samples=256, random_state=0).fit(rows[:, :-1])
        return roc_auc_score(rows[:, -1] == 0, -f.score_samples(rows[:, :-1]))


class Quality(Case):
    """The scores are Millrace's own; scikit-learn gets its dimensions' AUC for comparison: the same weighing and calibration."""
    component, measure, title = "quality_scorer", "expected calibration error", "scikit-learn LogisticRegression and isotonic"
    file, flags, modules = "rows.jsonl", ("--batch-size", "4096"), ("sklearn.calibration", "sklearn.preprocessing")

    def write(self, folder, n):
        rng = np.random.default_rng(4)
        verbs = ["summarise", "explain", "list", "write", "compare", "translate"]
        nouns = ["the report", "this function", "three causes", "a letter to the customer", "both offers", "the paragraph"]
        extra = ["", " in two sentences", " as a table with a heading", ". Use plain words", ". For example: see below",
                 ". Do not mention prices.\n- first the facts\n- then an opinion"]
        with open(f"{folder}/{self.file}", "w") as f, open(f"{folder}/dims.csv", "w") as d:
            for i in range(n):
                a, b, c = rng.integers(0, 6, 3)
                good = rng.random() < (0.25 + 0.12 * c)
                f.write(json.dumps({"prompt": f"Please {verbs[a]} {nouns[b]}{extra[c]} ({i})", "success": bool(good)}) + "\n")
                d.write(f"{a},{b},{c},{int(good)}\n")

    def quality(self, result, folder):
        return result["held_out"]["ece"]

    def read(self, folder):
        return np.loadtxt(f"{folder}/dims.csv", delimiter=",")

    def features(self, rows):
        from sklearn.preprocessing import OneHotEncoder
        return OneHotEncoder().fit_transform(rows[:, :3]), rows[:, 3]

    def reference(self, rows):
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.linear_model import LogisticRegression
        x, good = self.features(rows)
        cut = len(good) * 3 // 4
        m = CalibratedClassifierCV(LogisticRegression(), method="isotonic" if len(good) > 1000 else "sigmoid").fit(x[:cut], good[:cut])
        p, y = m.predict_proba(x[cut:])[:, 1], good[cut:]
        order = np.array_split(np.argsort(p, kind="stable"), 10)
        return float(sum(len(b) * abs(p[b].mean() - y[b].mean()) for b in order if len(b)) / len(p))


class QualityText(Quality):
    """scikit-learn, too, begins with the prompts: as a person would do it there, with its words and pairs of words."""
    title = "scikit-learn TfidfVectorizer, LogisticRegression and isotonic"
    modules = (*Quality.modules, "sklearn.feature_extraction.text")

    def read(self, folder):
        rows = [json.loads(line) for line in open(f"{folder}/{self.file}")]
        return [r["prompt"] for r in rows], np.array([r["success"] for r in rows])

    def features(self, rows):
        from sklearn.feature_extraction.text import TfidfVectorizer
        return TfidfVectorizer(ngram_range=(1, 2), min_df=5).fit_transform(rows[0]), rows[1]


class Principal(Case):
    """Trustworthiness and continuity, which scikit-learn's PCA does not have, are scored on the least sample."""
    component, measure, title = "dimensionality_reducer", "share of variance in 10 components", "scikit-learn PCA, full SVD"
    flags, modules = ("--batch-size", "4096"), ("sklearn.decomposition",)
    options = ("method=pca", "components=10", "sample=100")

    def write(self, folder, n):
        rng = np.random.default_rng(5)
        x = rng.normal(size=(n, 12)) @ rng.normal(size=(12, 60)) + 0.3 * rng.normal(size=(n, 60))
        save(f"{folder}/{self.file}", x, [f"x{j}" for j in range(60)])

    def quality(self, result, folder):
        return sum(result["ratio"][:10])

    def reference(self, rows):
        from sklearn.decomposition import PCA
        return float(PCA(10, svd_solver="full").fit(rows).explained_variance_ratio_.sum())


class PrincipalScored(Principal):
    """What the component does unless told otherwise: components, and two scores on 1,000 sampled rows."""
    title, measure = "scikit-learn PCA, trustworthiness twice (1,000 rows)", "trustworthiness in 10 dimensions"
    options, modules = ("method=pca", "components=10"), ("sklearn.decomposition", "sklearn.manifold")

    def quality(self, result, folder):
        return result["trustworthiness"]

    def reference(self, rows):
        from sklearn.decomposition import PCA
        from sklearn.manifold import trustworthiness
        some = rows[np.random.default_rng(0).choice(len(rows), 1000, replace=False)]
        few = PCA(10, svd_solver="full").fit(rows).transform(some)
        trustworthiness(few, some, n_neighbors=15)
        return float(trustworthiness(some, few, n_neighbors=15))


CASES = [Logistic(), Trees(), Ridge(), Anomalies(), Quality(), QualityText(), Principal(), PrincipalScored()]
