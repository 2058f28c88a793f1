#include "common/features_parts.h"

#include <string.h>

/* Short names for the table. */
enum {
    STOP = MR_LEX_STOP, SECOND = MR_LEX_SECOND, LIMIT = MR_LEX_LIMIT, EXAMPLE = MR_LEX_EXAMPLE,
    POLITE = MR_LEX_POLITE, VERB = MR_LEX_VERB, AT = MR_LEX_AT, FOR = MR_LEX_FOR, SUCH = MR_LEX_SUCH,
    AFTER_AT = MR_LEX_AFTER_AT, AFTER_FOR = MR_LEX_AFTER_FOR, AFTER_SUCH = MR_LEX_AFTER_SUCH
};

enum { WORD_BYTES = 14 };

typedef struct entry {
    char word[WORD_BYTES]; /* padded with NUL, so that memcmp orders them */
    uint16_t bits;
} entry;

/* Sorted by bytes (test_features.c checks it). */
static const entry entries[] = {
    {"a", STOP}, {"about", STOP}, {"above", STOP}, {"act", VERB}, {"add", VERB}, {"after", STOP},
    {"again", STOP}, {"against", STOP}, {"all", STOP}, {"always", LIMIT}, {"am", STOP}, {"an", STOP},
    {"analyse", VERB}, {"analyze", VERB}, {"and", STOP}, {"answer", VERB}, {"any", STOP}, {"apply", VERB},
    {"appreciate", POLITE}, {"appreciated", POLITE}, {"are", STOP}, {"arrange", VERB},
    {"as", STOP | AFTER_SUCH}, {"ask", VERB}, {"assess", VERB}, {"assume", VERB}, {"at", STOP | AT},
    {"avoid", LIMIT}, {"be", STOP}, {"because", STOP}, {"been", STOP}, {"before", STOP}, {"being", STOP},
    {"below", STOP}, {"between", STOP}, {"both", STOP}, {"brainstorm", VERB}, {"break", VERB},
    {"build", VERB}, {"but", STOP}, {"by", STOP}, {"calculate", VERB}, {"can", STOP}, {"can't", LIMIT},
    {"cannot", LIMIT}, {"check", VERB}, {"choose", VERB}, {"cite", VERB}, {"classify", VERB},
    {"clean", VERB}, {"combine", VERB}, {"compare", VERB}, {"complete", VERB}, {"compose", VERB},
    {"compute", VERB}, {"consider", VERB}, {"construct", VERB}, {"continue", VERB}, {"convert", VERB},
    {"correct", VERB}, {"could", STOP}, {"create", VERB}, {"critique", VERB}, {"debug", VERB},
    {"define", VERB}, {"describe", VERB}, {"design", VERB}, {"determine", VERB}, {"develop", VERB},
    {"did", STOP}, {"discuss", VERB}, {"do", STOP}, {"does", STOP}, {"doing", STOP}, {"don't", LIMIT},
    {"down", STOP}, {"draft", VERB}, {"draw", VERB}, {"during", STOP}, {"e.g", EXAMPLE}, {"each", STOP},
    {"edit", VERB}, {"eg", EXAMPLE}, {"elaborate", VERB}, {"ensure", LIMIT}, {"estimate", VERB},
    {"evaluate", VERB}, {"exactly", LIMIT}, {"examine", VERB}, {"example", EXAMPLE}, {"examples", EXAMPLE},
    {"except", LIMIT}, {"exclude", LIMIT}, {"expand", VERB}, {"explain", VERB}, {"explore", VERB},
    {"extract", VERB}, {"few", STOP}, {"fill", VERB}, {"find", VERB}, {"fix", VERB}, {"for", STOP | FOR},
    {"format", VERB}, {"formulate", VERB}, {"from", STOP}, {"further", STOP}, {"generate", VERB},
    {"give", VERB}, {"go", VERB}, {"grateful", POLITE}, {"group", VERB}, {"guide", VERB}, {"had", STOP},
    {"has", STOP}, {"have", STOP}, {"having", STOP}, {"he", STOP}, {"help", VERB}, {"her", STOP},
    {"here", STOP}, {"hers", STOP}, {"highlight", VERB}, {"him", STOP}, {"his", STOP}, {"how", STOP},
    {"i", STOP}, {"i'm", STOP}, {"identify", VERB}, {"if", STOP}, {"illustrate", VERB}, {"imagine", VERB},
    {"implement", VERB}, {"improve", VERB}, {"in", STOP}, {"include", VERB}, {"infer", VERB},
    {"instance", AFTER_FOR}, {"into", STOP}, {"is", STOP}, {"it", STOP}, {"it's", STOP}, {"its", STOP},
    {"itself", STOP}, {"just", STOP}, {"kindly", POLITE}, {"least", AFTER_AT}, {"limit", LIMIT},
    {"limited", LIMIT}, {"list", VERB}, {"make", VERB}, {"mandatory", LIMIT}, {"map", VERB}, {"max", LIMIT},
    {"maximum", LIMIT}, {"me", STOP}, {"measure", VERB}, {"min", LIMIT}, {"minimum", LIMIT}, {"more", STOP},
    {"most", STOP | AFTER_AT}, {"must", LIMIT}, {"mustn't", LIMIT}, {"my", STOP}, {"name", VERB},
    {"needs", LIMIT}, {"never", LIMIT}, {"no", STOP}, {"nor", STOP}, {"not", STOP}, {"now", STOP},
    {"of", STOP}, {"off", STOP}, {"on", STOP}, {"once", STOP}, {"only", STOP | LIMIT}, {"optimise", VERB},
    {"optimize", VERB}, {"or", STOP}, {"organise", VERB}, {"organize", VERB}, {"other", STOP},
    {"our", STOP}, {"ours", STOP}, {"out", STOP}, {"outline", VERB}, {"over", STOP}, {"own", STOP},
    {"paraphrase", VERB}, {"perform", VERB}, {"plan", VERB}, {"play", VERB}, {"please", POLITE},
    {"pls", POLITE}, {"plz", POLITE}, {"precisely", LIMIT}, {"predict", VERB}, {"prepare", VERB},
    {"present", VERB}, {"pretend", VERB}, {"produce", VERB}, {"proofread", VERB}, {"propose", VERB},
    {"provide", VERB}, {"put", VERB}, {"rank", VERB}, {"rate", VERB}, {"read", VERB}, {"recommend", VERB},
    {"refactor", VERB}, {"refine", VERB}, {"remove", VERB}, {"rephrase", VERB}, {"replace", VERB},
    {"report", VERB}, {"require", LIMIT}, {"required", LIMIT}, {"requirement", LIMIT},
    {"requirements", LIMIT}, {"requires", LIMIT}, {"respond", VERB}, {"return", VERB}, {"review", VERB},
    {"revise", VERB}, {"rewrite", VERB}, {"role-play", VERB}, {"roleplay", VERB}, {"run", VERB},
    {"same", STOP}, {"sample", EXAMPLE}, {"samples", EXAMPLE}, {"score", VERB}, {"search", VERB},
    {"select", VERB}, {"shall", LIMIT}, {"she", STOP}, {"should", STOP | LIMIT}, {"shouldn't", LIMIT},
    {"show", VERB}, {"simplify", VERB}, {"simulate", VERB}, {"sketch", VERB}, {"so", STOP}, {"solve", VERB},
    {"some", STOP}, {"sort", VERB}, {"split", VERB}, {"start", VERB}, {"state", VERB}, {"strictly", LIMIT},
    {"structure", VERB}, {"such", STOP | SUCH}, {"suggest", VERB}, {"summarise", VERB}, {"summarize", VERB},
    {"take", VERB}, {"teach", VERB}, {"tell", VERB}, {"test", VERB}, {"than", STOP}, {"thank", POLITE},
    {"thanks", POLITE}, {"that", STOP}, {"that's", STOP}, {"the", STOP}, {"their", STOP}, {"theirs", STOP},
    {"them", STOP}, {"then", STOP}, {"there", STOP}, {"there's", STOP}, {"these", STOP}, {"they", STOP},
    {"think", VERB}, {"this", STOP}, {"those", STOP}, {"through", STOP}, {"to", STOP}, {"too", STOP},
    {"transform", VERB}, {"translate", VERB}, {"turn", VERB}, {"under", STOP}, {"until", STOP},
    {"up", STOP}, {"use", VERB}, {"verify", VERB}, {"very", STOP}, {"visualise", VERB}, {"visualize", VERB},
    {"walk", VERB}, {"was", STOP}, {"we", STOP}, {"were", STOP}, {"what", STOP}, {"what's", STOP},
    {"when", STOP}, {"where", STOP}, {"which", STOP}, {"while", STOP}, {"who", STOP}, {"whom", STOP},
    {"why", STOP}, {"will", STOP}, {"with", STOP}, {"within", LIMIT}, {"without", LIMIT}, {"would", STOP},
    {"write", VERB}, {"you", STOP | SECOND}, {"you'd", SECOND}, {"you'll", SECOND}, {"you're", SECOND},
    {"you've", SECOND}, {"your", STOP | SECOND}, {"yours", STOP | SECOND}, {"yourself", STOP | SECOND},
    {"yourselves", SECOND},
};

unsigned mr_lexicon(mr_span word) {
    char key[WORD_BYTES] = {0};
    if (word.len == 0 || word.len >= WORD_BYTES) return 0;
    memcpy(key, word.data, word.len);
    size_t low = 0, high = sizeof entries / sizeof *entries;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = memcmp(key, entries[mid].word, WORD_BYTES);
        if (order == 0) return entries[mid].bits;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return 0;
}
