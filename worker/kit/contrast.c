#include "worker/kit/contrast.h"

#include <math.h>

static const double least_difference = 0.2;

static bool compare_column(const double *x, size_t n, size_t width, uint32_t column, const int32_t *group,
                           int32_t in, int32_t against, mr_contrast *out) {
    double inside = 0, outside = 0;
    size_t count_in = 0, count_out = 0;
    for (size_t i = 0; i < n; i++) {
        double v = x[i * width + column];
        if (group[i] == in) {
            inside += v;
            count_in++;
        } else if (against == MR_REST || group[i] == against) {
            outside += v;
            count_out++;
        }
    }
    if (count_in == 0 || count_out == 0) return false;
    *out = (mr_contrast){column, 0, inside / (double)count_in, outside / (double)count_out};
    return true;
}

size_t mr_contrasts(const double *x, size_t n, size_t width, const int32_t *group, int32_t in,
                    int32_t against, const double *sd, size_t most, mr_contrast *out) {
    size_t count = 0;
    for (uint32_t j = 0; j < width && most > 0; j++) {
        mr_contrast c;
        if (!(sd[j] > 0)) continue;
        if (!compare_column(x, n, width, j, group, in, against, &c)) return 0;
        c.difference = (c.inside - c.against) / sd[j];
        if (fabs(c.difference) < least_difference) continue;
        if (count == most && fabs(c.difference) <= fabs(out[count - 1].difference)) continue;
        size_t at = count < most ? count++ : count - 1;
        for (; at > 0 && fabs(out[at - 1].difference) < fabs(c.difference); at--) out[at] = out[at - 1];
        out[at] = c;
    }
    return count;
}

void mr_contrast_words(const mr_contrast *c, size_t count, mr_names names, mr_buf *out) {
    if (count == 0) mr_buf_text(out, "no feature in particular");
    for (size_t i = 0; i < count; i++)
        mr_buf_printf(out, "%s%s %.60s (%+.1f sd)", i ? ", " : "", c[i].difference > 0 ? "higher" : "lower",
                      names.items[c[i].column], c[i].difference);
}
