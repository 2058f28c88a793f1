#include "worker/kit/model_put.h"

void mr_put_judgement(mr_out *out, const char *field, const mr_judgement *j) {
    mr_out_open_map(out, field);
    mr_out_integer(out, "rows", (int64_t)j->rows);
    mr_out_number(out, "auc", j->auc);
    mr_out_number(out, "accuracy", j->accuracy);
    mr_out_number(out, "log_loss", j->log_loss);
    mr_out_number(out, "brier", j->brier);
    mr_out_number(out, "r2", j->r2);
    mr_out_number(out, "rmse", j->rmse);
    mr_out_number(out, "mae", j->mae);
    mr_out_close(out);
}

void mr_put_coefficients(mr_out *out, const mr_model *m, const mr_class *classes) {
    size_t w = m->width;
    if (m->kind == MR_MODEL_TREES) return;
    mr_out_open_list(out, "coefficients");
    for (size_t k = 0; k < m->outputs; k++) {
        mr_out_open_map(out, NULL);
        if (m->classes)
            mr_out_span(out, "class", classes[m->classes == 2 ? 1 : k].name);
        else
            mr_out_nil(out, "class");
        mr_out_number(out, "intercept", m->weight[k * (w + 1) + w]);
        mr_out_numbers(out, "weights", m->weight + k * (w + 1), w);
        mr_out_close(out);
    }
    mr_out_close(out);
    if (m->kind != MR_MODEL_RIDGE) return;
    mr_out_open_map(out, "ridge");
    mr_out_numbers(out, "beta", m->ridge.beta, w);
    mr_out_numbers(out, "error", m->ridge.error, w);
    mr_out_number(out, "df", m->ridge.df);
    mr_out_number(out, "rss", m->ridge.rss);
    mr_out_number(out, "r2", m->ridge.r2);
    mr_out_close(out);
}
