/* put.h: pieces of results that several components write in the same way. */
#ifndef MR_KIT_PUT_H
#define MR_KIT_PUT_H

#include "worker/component.h"
#include "worker/kit/contrast.h"

#include <math.h>
#include <stdio.h>

/* A list of names. */
static inline void mr_put_names(mr_out *out, const char *field, mr_names names) {
    mr_out_open_list(out, field);
    for (uint32_t i = 0; i < names.count; i++) mr_out_text(out, NULL, "%s", names.items[i]);
    mr_out_close(out);
}

/* "p = 0.031", "p < 1e-300" where a number holds no less, "p is not defined" for NaN. */
typedef struct mr_p_words {
    char text[24];
} mr_p_words;
static inline mr_p_words mr_say_p(double p) {
    mr_p_words w;
    if (isnan(p)) snprintf(w.text, sizeof w.text, "p is not defined");
    else snprintf(w.text, sizeof w.text, p < 1e-300 ? "p < 1e-300" : "p = %.2g", p);
    return w;
}

/* v, or 0 when it is what rounding leaves of numbers of that scale. */
static inline double mr_clean(double v, double scale) { return fabs(v) <= 1e-12 * scale ? 0 : v; }

/* A list of two: the ends of an interval. */
static inline void mr_put_pair(mr_out *out, const char *field, double low, double high) {
    mr_out_numbers(out, field, (double[]){low, high}, 2);
}

/* A list of maps: name, difference, inside, outside. */
static inline void mr_put_contrasts(mr_out *out, const char *field, const mr_contrast *c, size_t count,
                                    mr_names names) {
    mr_out_open_list(out, field);
    for (size_t i = 0; i < count; i++) {
        mr_out_open_map(out, NULL);
        mr_out_text(out, "name", "%s", names.items[c[i].column]);
        mr_out_number(out, "difference", c[i].difference);
        mr_out_number(out, "inside", c[i].inside);
        mr_out_number(out, "outside", c[i].against);
        mr_out_close(out);
    }
    mr_out_close(out);
}

/* Where something came from that another step gave: a map of component, artifact (nil: its result), run (nil: the same
 * run) and hash. */
static inline void mr_put_given(mr_out *out, const char *field, const mr_given *g) {
    char hex[MR_HASH_HEX];
    mr_hash_hex(&g->hash, hex);
    mr_out_open_map(out, field);
    mr_out_text(out, "component", "%s", g->component);
    if (*g->artifact) mr_out_text(out, "artifact", "%s", g->artifact);
    else mr_out_nil(out, "artifact");
    if (g->run) mr_out_integer(out, "run", (int64_t)g->run);
    else mr_out_nil(out, "run");
    mr_out_text(out, "hash", "%s", hex);
    mr_out_close(out);
}

#endif
