/* models.h: the models of ml_model_service behind one face: fitting, predicting, judging on rows that were
 * not fitted, bytes. A target is a number, or a class counted from 0. More than two classes are learnt one
 * against the rest and their probabilities divided by their sum. */
#ifndef MR_KIT_MODELS_H
#define MR_KIT_MODELS_H

#include "worker/kit/boost.h"
#include "worker/kit/linear.h"

typedef enum mr_model_kind {
    MR_MODEL_RIDGE,
    MR_MODEL_LOGISTIC,
    MR_MODEL_TREES,
    MR_MODEL_KINDS
} mr_model_kind;
extern const char *const mr_model_names[MR_MODEL_KINDS]; /* "ridge", "logistic", "trees" */

enum { MR_MODEL_CLASSES = 64 };

typedef struct mr_model_options {
    double lambda;          /* of ridge: see linear.h */
    double c;               /* of logistic */
    bool scale;             /* logistic: z-scores (population sd) first */
    mr_boost_options trees; /* `loss` is set from the target */
} mr_model_options;

/* Rows to learn from or to judge by. */
typedef struct mr_examples {
    const double *x, *y; /* n x width, row-major; n */
    size_t n, width;
    size_t classes; /* 0: y is a number; else y is a class below it */
} mr_examples;

typedef struct mr_model {
    mr_model_kind kind;
    size_t width, classes, outputs; /* outputs: 1, or one for each class when there are more than two */
    double *weight;  /* linear kinds: outputs x (width + 1), for raw values, the intercept last */
    mr_boost *trees; /* MR_MODEL_TREES: outputs */
    mr_ridge ridge;  /* MR_MODEL_RIDGE when it was fitted here: on the z-scores */
} mr_model;

/* Ridge wants a number, logistic wants classes. The model lies in the scratch's arena. Errors: those of
 * linear.h and boost.h. */
mr_status mr_model_fit(mr_model_kind kind, const mr_examples *e, const mr_model_options *o,
                       mr_scratch *scratch, const mr_ticker *tick, mr_model *out,
                       mr_error *err) MR_MUST_CHECK;
/* Ridge from moments. */
mr_status mr_model_ridge(const mr_moments *m, double lambda, mr_arena *arena, const mr_ticker *tick,
                         mr_model *out, mr_error *err) MR_MUST_CHECK;

/* Numbers in `out`: one for a number, else a probability for each class. */
size_t mr_model_width(const mr_model *m);
void mr_model_at(const mr_model *m, const double *row, double *out);

void mr_model_pack(const mr_model *m, mr_buf *out);
mr_status mr_model_unpack(mr_model *m, mr_arena *arena, size_t width, size_t classes, mr_unpack *in,
                          mr_error *err) MR_MUST_CHECK;

/* How good predictions are. Of classes: the area under the ROC curve (more than two: each against the rest,
 * then the mean), accuracy of the most probable class, mean log loss (probabilities kept 1e-15 from 0 and 1)
 * and Brier score (sum over the classes; of two classes over one). Of numbers: R^2 against the rows' own
 * mean, root mean squared and mean absolute error. What does not apply is NaN. */
typedef struct mr_judgement {
    size_t rows;
    double auc, accuracy, log_loss, brier, r2, rmse, mae;
} mr_judgement;
/* predicted: rows x mr_model_width. */
mr_judgement mr_judge(const double *y, const double *predicted, size_t n, size_t classes, mr_arena *arena);
/* Less is better, whatever the target: the log loss, or the root mean squared error. */
double mr_judgement_loss(const mr_judgement *j);

/* Cross-validation: each row is foreseen by a model that was fitted on the rows of the other folds. */
typedef struct mr_validation {
    double *predicted;       /* n x mr_model_width */
    mr_judgement *folds;     /* folds; rows == 0 where one held no row */
    mr_judgement pooled;     /* over all rows */
    double loss, loss_error; /* mean over the folds and its standard error */
} mr_validation;
mr_status mr_cross_validate(mr_model_kind kind, const mr_examples *e, const uint8_t *fold, size_t folds,
                            const mr_model_options *o, mr_scratch *scratch, const mr_ticker *tick,
                            mr_validation *out, mr_error *err) MR_MUST_CHECK;

#endif
