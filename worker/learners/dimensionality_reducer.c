/* dimensionality_reducer: principal component analysis. Every batch gives exact sums and sums of products
 * (worker/kit/exact.h), so the merged covariance, and all that follows, has the same bits for any batches and
 * workers. Jolliffe 2002, Principal Component Analysis, chapters 1 to 3. */
#include "worker/component.h"
#include "worker/kit/exact.h"
#include "worker/kit/linalg.h"
#include "worker/kit/put.h"

#include <math.h>
#include <string.h>

enum { WIDTH_MAX = 512, DRIVERS = 3 };
static const char partial_magic[] = "pca-sums-1", model_magic[] = "pca-1";

typedef struct pca_config {
    int64_t components;
    double variance;
    bool scale;
} pca_config;

static const mr_option options[] = {
    {.name = "components",
     .type = MR_OPT_INT,
     .offset = offsetof(pca_config, components),
     .def = "0",
     .min = 0,
     .max = WIDTH_MAX,
     .unit = "columns",
     .help = "how many components to keep; 0: as many as `variance` needs"},
    {.name = "variance",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(pca_config, variance),
     .def = "0.95",
     .min = 0.01,
     .max = 1,
     .help = "share of the variance that the kept components must carry"},
    {.name = "scale",
     .type = MR_OPT_BOOL,
     .offset = offsetof(pca_config, scale),
     .def = "false",
     .help = "bring every column to mean 0 and population standard deviation 1 first"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows that were analysed, or projected by a stored model",
     MR_FOLD_SUM},
    {"columns", MR_FIELD_LIST, NULL, "names of the feature columns, in the order of every list here",
     MR_FOLD_NONE},
    {"components", MR_FIELD_INTEGER, NULL, "components kept", MR_FOLD_NONE},
    {"components_95", MR_FIELD_INTEGER, NULL, "components that carry 95 % of the variance", MR_FOLD_NONE},
    {"components_95_scaled", MR_FIELD_INTEGER, NULL, "the same when every column counts equally (z-scores)",
     MR_FOLD_NONE},
    {"eigenvalues", MR_FIELD_NUMBERS, NULL, "variance along each component, largest first, divisor rows - 1",
     MR_FOLD_NONE},
    {"ratio", MR_FIELD_NUMBERS, NULL, "each eigenvalue as a share of the whole variance", MR_FOLD_NONE},
    {"variance_kept", MR_FIELD_NUMBER, NULL, "share of the variance that the kept components carry",
     MR_FOLD_NONE},
    {"total_variance", MR_FIELD_NUMBER, NULL, "sum of the columns' variances, after scaling", MR_FOLD_NONE},
    {"reconstruction_error", MR_FIELD_NUMBER, NULL,
     "mean squared difference between a (scaled) value and its reconstruction from the kept components",
     MR_FOLD_MEAN},
    {"loadings", MR_FIELD_MATRIX, NULL,
     "components x columns, unit rows, the largest loading of each positive", MR_FOLD_NONE},
    {"mean", MR_FIELD_NUMBERS, NULL, "mean of each column", MR_FOLD_NONE},
    {"scale", MR_FIELD_NUMBERS, NULL,
     "what each column is divided by: 1, or its population standard deviation", MR_FOLD_NONE},
    {"constant_columns", MR_FIELD_LIST, NULL, "names of columns that hold one value only", MR_FOLD_NONE},
    {"scores", MR_FIELD_MATRIX, NULL, "apply only: rows x components, the rows in the new coordinates",
     MR_FOLD_NONE},
    {"row_errors", MR_FIELD_NUMBERS, NULL, "apply only: reconstruction error of each row", MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- process: rows -> exact sums ---- */

/* The sums, then the sums of products i <= j row by row, straight behind the header. */
static mr_status put_sums(mr_ctx *ctx, const mr_batch *batch, mr_buf *out) {
    size_t n = batch->rows, width = batch->width;
    mr_exact_term *terms = mr_ctx_alloc(ctx, n * width, sizeof *terms); /* column by column */
    if (n > 0 && !terms) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++) terms[j * n + i] = mr_exact_split(batch->features[i * width + j]);
    mr_exact sum;
    for (size_t j = 0; j < width; j++) {
        mr_exact_clear(&sum);
        for (size_t i = 0; i < n; i++) mr_exact_add_term(&sum, terms[j * n + i]);
        mr_exact_pack(&sum, out);
    }
    for (size_t j = 0; j < width; j++)
        for (size_t k = j; k < width; k++) {
            MR_TRY(mr_tick(ctx));
            mr_exact_clear(&sum);
            for (size_t i = 0; i < n; i++) mr_exact_add_product(&sum, terms[j * n + i], terms[k * n + i]);
            mr_exact_pack(&sum, out);
        }
    return MR_OK;
}

static void put_header(mr_buf *out, uint64_t rows, mr_names names) {
    mr_pack_array(out, 3);
    mr_pack_text(out, partial_magic);
    mr_pack_u64(out, rows);
    mr_pack_names(out, names);
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)config;
    mr_error err;
    if (mr_check_features(batch, WIDTH_MAX, &err) != MR_OK) return refuse(ctx, &err);
    mr_buf *bytes = mr_out_partial_buf(out);
    put_header(bytes, batch->rows, (mr_names){batch->width, batch->feature_names});
    return put_sums(ctx, batch, bytes);
}

/* ---- merge ---- */

typedef struct sums {
    uint64_t rows;
    mr_names names;
    uint32_t count;
    mr_span *rest; /* of each partial: the packed sums that were not read yet */
} sums;

static mr_status open_one(mr_ctx *ctx, mr_span partial, sums *s, uint32_t at, mr_error *err) {
    mr_unpack u;
    uint64_t rows;
    mr_names names;
    mr_unpack_init(&u, partial);
    MR_TRY(mr_unpack_magic(&u, partial_magic, 3, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &rows, err));
    MR_TRY(mr_unpack_names(&u, mr_ctx_arena(ctx), &names, err));
    if (at == 0)
        s->names = names;
    else
        MR_TRY(mr_same_names(names, s->names, "the batches before", err));
    if (names.count == 0 || names.count > WIDTH_MAX || __builtin_add_overflow(s->rows, rows, &s->rows))
        return mr_fail(err, MR_E_CORRUPT, "a partial of %u columns and %llu rows", names.count,
                       (unsigned long long)rows);
    s->rest[at] = (mr_span){u.at, (size_t)(u.end - u.at)};
    return MR_OK;
}

static mr_status open_all(mr_ctx *ctx, const mr_partials *partials, sums *s, mr_error *err) {
    *s = (sums){.count = partials->count, .rest = mr_ctx_alloc(ctx, partials->count, sizeof *s->rest)};
    if (!s->rest) return mr_fail(err, MR_E_MEMORY, "no memory for %u partials", partials->count);
    for (uint32_t i = 0; i < partials->count; i++) MR_TRY(open_one(ctx, partials->items[i], s, i, err));
    return MR_OK;
}

/* The next sum of all partials together. */
static mr_status next_sum(sums *s, bool of_products, mr_exact *out, mr_error *err) {
    mr_exact_clear(out);
    for (uint32_t i = 0; i < s->count; i++) MR_TRY(mr_exact_add_packed(out, &s->rest[i], of_products, err));
    return MR_OK;
}

static mr_status merge_sums(mr_ctx *ctx, sums *s, mr_buf *out, mr_error *err) {
    size_t width = s->names.count;
    mr_exact sum;
    put_header(out, s->rows, s->names);
    for (size_t i = 0; i < width + width * (width + 1) / 2; i++) {
        MR_TRY(mr_tick(ctx));
        MR_TRY(next_sum(s, i >= width, &sum, err));
        mr_exact_pack(&sum, out);
    }
    return MR_OK;
}

/* ---- the analysis ---- */

typedef struct analysis {
    const pca_config *options;
    size_t width, kept, constants;
    uint64_t rows;
    mr_names names;
    double *comoment;  /* width x width: n sum(xy) - sum(x) sum(y), each correctly rounded */
    double *mean, *sd; /* population standard deviation */
    double *scale, *values, *vectors, total;
} analysis;

static mr_status analysis_alloc(mr_ctx *ctx, const sums *s, analysis *a, mr_error *err) {
    size_t w = a->width = s->names.count;
    a->rows = s->rows;
    a->names = s->names;
    a->comoment = mr_ctx_alloc(ctx, w * w, sizeof(double));
    a->vectors = mr_ctx_alloc(ctx, w * w, sizeof(double));
    a->values = mr_ctx_alloc(ctx, w, sizeof(double));
    a->mean = mr_ctx_alloc(ctx, w, sizeof(double));
    a->sd = mr_ctx_alloc(ctx, w, sizeof(double));
    a->scale = mr_ctx_alloc(ctx, w, sizeof(double));
    if (a->comoment && a->vectors && a->values && a->mean && a->sd && a->scale) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for the covariance of %zu columns", w);
}

static mr_status finish_moments(mr_ctx *ctx, sums *s, analysis *a, mr_error *err) {
    size_t w = a->width;
    mr_exact *sum = mr_ctx_alloc(ctx, w, sizeof *sum), xy, difference;
    if (!sum) return mr_fail(err, MR_E_MEMORY, "no memory for %zu sums", w);
    for (size_t j = 0; j < w; j++) {
        MR_TRY(next_sum(s, false, &sum[j], err));
        a->mean[j] = mr_exact_value(&sum[j]) / (double)s->rows;
    }
    for (size_t j = 0; j < w; j++)
        for (size_t k = j; k < w; k++) {
            MR_TRY(mr_tick(ctx));
            MR_TRY(next_sum(s, true, &xy, err));
            mr_exact_comoment(&difference, s->rows, &xy, &sum[j], &sum[k]);
            a->comoment[j * w + k] = a->comoment[k * w + j] = mr_exact_value(&difference);
        }
    for (size_t j = 0; j < w; j++) {
        a->sd[j] = sqrt(a->comoment[j * w + j]) / (double)s->rows;
        a->constants += a->sd[j] == 0;
    }
    return MR_OK;
}

/* The matrix whose eigenvalues are wanted: the covariance, or that of the z-scores. */
static void covariance(const analysis *a, bool scaled, double *out) {
    size_t w = a->width;
    double n = (double)a->rows;
    for (size_t j = 0; j < w; j++)
        for (size_t k = 0; k < w; k++) {
            double c = a->comoment[j * w + k] / n / (n - 1);
            if (scaled) c = a->sd[j] > 0 && a->sd[k] > 0 ? c / a->sd[j] / a->sd[k] : 0;
            if (scaled && j == k && a->sd[j] > 0) c = n / (n - 1);
            out[j * w + k] = c;
        }
}

/* How many of the leading values make up `share` of all; 1e-12 forgives the rounding of the sum. */
static size_t needed(const double *values, size_t width, double share) {
    double total = 0, sum = 0;
    for (size_t k = 0; k < width; k++) total += values[k];
    for (size_t k = 0; k < width; k++) {
        sum += values[k];
        if (sum >= share * total * (1 - 1e-12)) return k + 1;
    }
    return width;
}

static mr_status eigen(mr_ctx *ctx, const analysis *a, bool scaled, double *values, double *vectors,
                       mr_error *err) {
    double *matrix = mr_ctx_alloc(ctx, a->width * a->width, sizeof *matrix);
    if (!matrix) return mr_fail(err, MR_E_MEMORY, "no memory for the covariance of %zu columns", a->width);
    covariance(a, scaled, matrix);
    MR_TRY(
        mr_eigen_jacobi(mr_ctx_arena(ctx), matrix, a->width, values, vectors, &(mr_ticker){tick, ctx}, err));
    for (size_t k = 0; k < a->width; k++)
        if (values[k] < 0) values[k] = 0; /* rounding of a zero */
    mr_eigen_fix_signs(vectors, a->width, a->width);
    return MR_OK;
}

static mr_status check_rows(const analysis *a, mr_error *err) {
    if (a->rows < 2)
        return mr_fail(err, MR_E_INVALID, "%llu rows are too few: variance needs at least 2",
                       (unsigned long long)a->rows);
    if (a->options->components > (int64_t)a->width)
        return mr_fail(err, MR_E_INVALID, "components is %lld, but there are only %zu feature columns",
                       (long long)a->options->components, a->width);
    return MR_OK;
}

static mr_status analyse(mr_ctx *ctx, sums *s, analysis *a, mr_error *err) {
    MR_TRY(analysis_alloc(ctx, s, a, err));
    MR_TRY(check_rows(a, err));
    MR_TRY(finish_moments(ctx, s, a, err));
    if (a->constants == a->width)
        return mr_fail(err, MR_E_INVALID,
                       "every feature column holds one value only, so there is no variance");
    MR_TRY(eigen(ctx, a, a->options->scale, a->values, a->vectors, err));
    for (size_t k = 0; k < a->width; k++) a->total += a->values[k];
    a->kept = a->options->components > 0 ? (size_t)a->options->components
                                         : needed(a->values, a->width, a->options->variance);
    for (size_t j = 0; j < a->width; j++) a->scale[j] = a->options->scale && a->sd[j] > 0 ? a->sd[j] : 1;
    return MR_OK;
}

/* ---- what came of it ---- */

static double share(const analysis *a, size_t from, size_t to) {
    double sum = 0;
    for (size_t k = from; k < to; k++) sum += a->values[k];
    return sum / a->total;
}

/* "a, b, c": the columns with the largest loadings, each at least half of the first. */
static void drivers(const analysis *a, const double *vector, mr_buf *out) {
    double last = INFINITY, first = 0;
    size_t last_at = 0;
    for (int d = 0; d < DRIVERS; d++) {
        size_t top = a->width;
        for (size_t j = 0; j < a->width; j++) {
            double size = fabs(vector[j]);
            bool open = size < last || (size == last && j > last_at);
            if (open && (top == a->width || size > fabs(vector[top]))) top = j;
        }
        if (top == a->width || fabs(vector[top]) < first / 2 || vector[top] == 0) return;
        last = fabs(vector[top]);
        last_at = top;
        if (d == 0) first = last;
        mr_buf_printf(out, "%s%.60s", d ? ", " : "", a->names.items[top]);
    }
}

static void constant_finding(const analysis *a, mr_buf *words, mr_out *out) {
    if (a->constants == 0) return;
    size_t named = 0;
    mr_buf_clear(words);
    for (size_t j = 0; j < a->width && named < 8; j++)
        if (a->sd[j] == 0) mr_buf_printf(words, "%s%.60s", named++ ? ", " : "", a->names.items[j]);
    mr_out_finding(out, 0.3, "%zu of %zu columns hold%s one value only and add nothing: %.*s%s", a->constants,
                   a->width, a->constants == 1 ? "s" : "", MR_SPAN_ARG(mr_buf_span(words)),
                   a->constants > named ? " and more" : "");
}

static void findings(mr_ctx *ctx, const analysis *a, const double *z_values, const double *z_vectors,
                     mr_out *out) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    size_t most = needed(a->values, a->width, 0.95), even = needed(z_values, a->width, 0.95);
    drivers(a, a->vectors, &words);
    mr_out_finding(
        out, 0.9, "%zu of %zu dimensions carr%s 95 %% of the variance; the first (%.0f %%) is driven by %.*s",
        most, a->width, most == 1 ? "ies" : "y", 100 * share(a, 0, 1), MR_SPAN_ARG(mr_buf_span(&words)));
    double widest = 0, narrowest = INFINITY;
    for (size_t j = 0; j < a->width; j++) {
        if (a->sd[j] > widest) widest = a->sd[j];
        if (a->sd[j] > 0 && a->sd[j] < narrowest) narrowest = a->sd[j];
    }
    if (!a->options->scale && widest > 10 * narrowest) {
        mr_buf_clear(&words);
        drivers(a, z_vectors, &words);
        mr_out_finding(
            out, 0.8,
            "the columns' spreads differ by a factor of %.3g, so the widest decide; with scale=true "
            "%zu carr%s 95 %%, the first driven by %.*s",
            widest / narrowest, even, even == 1 ? "ies" : "y", MR_SPAN_ARG(mr_buf_span(&words)));
    }
    constant_finding(a, &words, out);
}

static void put_model(mr_ctx *ctx, const analysis *a, mr_out *out) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf b;
    mr_buf_init(&b, &mem, (size_t)16 << 20);
    mr_pack_array(&b, 6);
    mr_pack_text(&b, model_magic);
    mr_pack_names(&b, a->names);
    mr_pack_doubles(&b, a->mean, a->width);
    mr_pack_doubles(&b, a->scale, a->width);
    mr_pack_u64(&b, a->kept);
    mr_pack_doubles(&b, a->vectors, a->kept * a->width);
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&b));
}

static void put_constants(const analysis *a, mr_out *out) {
    mr_out_open_list(out, "constant_columns");
    for (size_t j = 0; j < a->width; j++)
        if (a->sd[j] == 0) mr_out_text(out, NULL, "%s", a->names.items[j]);
    mr_out_close(out);
}

static mr_status put_result(mr_ctx *ctx, const analysis *a, mr_out *out, mr_error *err) {
    size_t w = a->width;
    double n = (double)a->rows;
    double *z_values = mr_ctx_alloc(ctx, w, sizeof *z_values),
           *z_vectors = mr_ctx_alloc(ctx, w * w, sizeof *z_vectors);
    double *ratio = mr_ctx_alloc(ctx, w, sizeof *ratio);
    if (!z_values || !z_vectors || !ratio) return mr_fail(err, MR_E_MEMORY, "no memory for the eigenvectors");
    MR_TRY(eigen(ctx, a, true, z_values, z_vectors, err));
    for (size_t k = 0; k < w; k++) ratio[k] = a->values[k] / a->total;
    mr_out_integer(out, "rows", (int64_t)a->rows);
    mr_put_names(out, "columns", a->names);
    mr_out_integer(out, "components", (int64_t)a->kept);
    mr_out_integer(out, "components_95", (int64_t)needed(a->values, w, 0.95));
    mr_out_integer(out, "components_95_scaled", (int64_t)needed(z_values, w, 0.95));
    mr_out_numbers(out, "eigenvalues", a->values, w);
    mr_out_numbers(out, "ratio", ratio, w);
    mr_out_number(out, "variance_kept", share(a, 0, a->kept));
    mr_out_number(out, "total_variance", a->total);
    mr_out_number(out, "reconstruction_error", share(a, a->kept, w) * a->total * (n - 1) / n / (double)w);
    mr_out_matrix(out, "loadings", a->vectors, a->kept, w);
    mr_out_numbers(out, "mean", a->mean, w);
    mr_out_numbers(out, "scale", a->scale, w);
    put_constants(a, out);
    findings(ctx, a, z_values, z_vectors, out);
    put_model(ctx, a, out);
    return MR_OK;
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    sums s;
    if (open_all(ctx, partials, &s, &err) != MR_OK) return refuse(ctx, &err);
    analysis a = {.options = config};
    mr_status status =
        partials->last ? analyse(ctx, &s, &a, &err) : merge_sums(ctx, &s, mr_out_partial_buf(out), &err);
    if (status == MR_OK && partials->last) status = put_result(ctx, &a, out, &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply ---- */

typedef struct model {
    mr_names names;
    double *mean, *scale, *loadings;
    uint64_t kept;
} model;

static mr_status read_model(mr_ctx *ctx, mr_span bytes, model *m, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 6, err));
    MR_TRY(mr_unpack_names(&u, arena, &m->names, err));
    MR_TRY(mr_unpack_doubles(&u, m->names.count, arena, &m->mean, err));
    MR_TRY(mr_unpack_doubles(&u, m->names.count, arena, &m->scale, err));
    MR_TRY(mr_unpack_u64(&u, m->names.count, &m->kept, err));
    return mr_unpack_doubles(&u, m->kept * m->names.count, arena, &m->loadings, err);
}

/* The row's coordinates; returns the mean squared difference to its reconstruction. `z` is scratch. */
static double project(const model *m, const double *row, double *z, double *scores) {
    size_t w = m->names.count;
    for (size_t j = 0; j < w; j++) z[j] = (row[j] - m->mean[j]) / m->scale[j];
    for (size_t k = 0; k < m->kept; k++) {
        scores[k] = 0;
        for (size_t j = 0; j < w; j++) scores[k] += z[j] * m->loadings[k * w + j];
    }
    double sum = 0;
    for (size_t j = 0; j < w; j++) {
        double rest = z[j];
        for (size_t k = 0; k < m->kept; k++) rest -= scores[k] * m->loadings[k * w + j];
        sum += rest * rest;
    }
    return sum / (double)w;
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch,
                       mr_out *out) {
    (void)config;
    mr_error err = {0};
    model m = {0};
    if (mr_check_features(batch, WIDTH_MAX, &err) != MR_OK ||
        read_model(ctx, artifact->bytes, &m, &err) != MR_OK ||
        mr_same_names((mr_names){batch->width, batch->feature_names}, m.names, "the model", &err) != MR_OK)
        return refuse(ctx, &err);
    double *scores = mr_ctx_alloc(ctx, batch->rows * m.kept + 1, sizeof *scores);
    double *errors = mr_ctx_alloc(ctx, batch->rows + 1, sizeof *errors);
    double *z = mr_ctx_alloc(ctx, batch->width, sizeof *z), sum = 0;
    if (!scores || !errors || !z) return MR_E_MEMORY;
    for (size_t i = 0; i < batch->rows; i++) {
        MR_TRY(mr_tick(ctx));
        errors[i] = project(&m, batch->features + i * batch->width, z, scores + i * m.kept);
        sum += errors[i];
    }
    mr_out_integer(out, "rows", batch->rows);
    mr_out_integer(out, "components", (int64_t)m.kept);
    mr_out_number(out, "reconstruction_error", batch->rows ? sum / batch->rows : NAN);
    mr_out_matrix(out, "scores", scores, batch->rows, m.kept);
    mr_out_numbers(out, "row_errors", errors, batch->rows);
    return MR_OK;
}

/* The points of a line with a little noise across it; eigenvalues by numpy.linalg.eigh(numpy.cov(x.T)). */
static const mr_example examples[] = {
    {.title = "three columns, one direction",
     .input = "a,b,c\n1,2.1,5\n2,3.9,5\n3,6.1,5\n4,7.9,5\n5,10.1,5\n",
     .expect = "{\"rows\": 5, \"components\": 1, \"components_95\": 1, \"constant_columns\": [\"c\"], "
               "\"mean\": [3, 6.02, 5], \"eigenvalues\": [12.5096018421387, 0.00239815786134345, 0]}"},
    {0}};

const mr_component mr_component_dimensionality_reducer = {
    .name = "dimensionality_reducer",
    .summary =
        "finds how few dimensions carry the information (principal components), and projects rows onto them",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 1,
    .columns = MR_COL_FEATURES,
    .capabilities = (const char *const[]){"pca", "projection", NULL},
    .options = options,
    .config_size = sizeof(pca_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 60000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
    .apply = apply,
};
