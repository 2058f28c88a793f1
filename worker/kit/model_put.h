/* model_put.h: what a fitted model is and how well it foresees, as fields of a result. */
#ifndef MR_KIT_MODEL_PUT_H
#define MR_KIT_MODEL_PUT_H

#include "worker/component.h"
#include "worker/kit/training.h"

/* A map: rows, auc, accuracy, log_loss, brier, r2, rmse, mae; NaN as nil. */
void mr_put_judgement(mr_out *out, const char *field, const mr_judgement *j);
/* The list `coefficients`, and for ridge the map `ridge`; nothing for trees. `classes` are those of the target. */
void mr_put_coefficients(mr_out *out, const mr_model *m, const mr_class *classes);

#endif
