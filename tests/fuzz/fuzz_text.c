/* Any bytes as text: the fast walks agree with ICU, the features are finite, nothing is read outside. */
#include "common/features.h"

#include <math.h>
#include <string.h>

static void compare_walks(mr_text *fast, mr_text *icu, mr_span s) {
    for (mr_text_unit unit = 0; unit < MR_UNIT_COUNT; unit++) {
        mr_piece a, b;
        mr_status x = mr_text_walk(fast, unit, s, NULL), y = mr_text_walk(icu, unit, s, NULL);
        MR_ASSERT(x == y);
        if (x != MR_OK) return;
        size_t at = 0;
        while (mr_text_next(fast, unit, &a)) {
            MR_ASSERT(mr_text_next(icu, unit, &b) && a.end == b.end && a.start == at &&
                      a.is_word == b.is_word);
            at = a.end;
        }
        MR_ASSERT(at == s.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_text *fast, *icu;
    mr_buf b;
    float f[MR_FEATURES];
    mr_span s = {data, size};
    if (size > 4096 || mr_text_new(NULL, &fast, NULL) != MR_OK || mr_text_new(NULL, &icu, NULL) != MR_OK)
        return 0;
    mr_text_set_fast(icu, false);
    compare_walks(fast, icu, s);
    if (mr_features(fast, s, f, NULL) == MR_OK)
        for (int i = 0; i < MR_FEATURES; i++)
            MR_ASSERT(isfinite(f[i]) && (double)f[i] >= mr_feature_rows[i].min &&
                      (double)f[i] <= mr_feature_rows[i].max);
    mr_buf_init(&b, NULL, 1 << 20);
    (void)!mr_text_nfc(fast, s, &b, NULL);
    (void)!mr_text_fold(fast, s, &b, NULL);
    MR_ASSERT(mr_utf8_check(mr_buf_span(&b), NULL, NULL));
    (void)mr_text_syllables(s);
    (void)mr_text_trim(s);
    mr_buf_free(&b);
    mr_text_free(&fast);
    mr_text_free(&icu);
    return 0;
}
