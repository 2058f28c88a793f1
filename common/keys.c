#include "common/keys.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 4096, LIST_MAX = 4 * 1024 * 1024, WORDS = 6 };

static const char *const roles[MR_KEY_ROLES] = {"viewer", "producer", "operator", "admin", "worker"};

const char *mr_key_role_name(mr_key_role role) {
    return (unsigned)role < MR_KEY_ROLES ? roles[role] : "unknown";
}

bool mr_key_role_by_name(mr_span name, mr_key_role *out) {
    for (unsigned i = 0; i < MR_KEY_ROLES; i++) {
        if (!mr_span_eq(name, mr_span_of(roles[i]))) continue;
        *out = (mr_key_role)i;
        return true;
    }
    return false;
}

bool mr_key_name_ok(mr_span name) {
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (name.len < 1 || name.len >= MR_KEY_NAME || name.data[0] == '.') return false;
    for (size_t i = 0; i < name.len; i++)
        if (!name.data[i] || !strchr(good, name.data[i])) return false;
    return true;
}

/* ---- lines of words ---- */

static mr_span next_line(mr_span *rest) {
    const uint8_t *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    mr_span line = {rest->data, end ? (size_t)(end - rest->data) : rest->len};
    size_t used = line.len + (end ? 1 : 0);
    if (used) *rest = (mr_span){rest->data + used, rest->len - used};
    return line;
}

/* The words of a line, at most WORDS; none for a comment. */
static size_t split(mr_span line, mr_span words[WORDS]) {
    size_t n = 0, at = 0;
    while (n < WORDS) {
        while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t' || line.data[at] == '\r')) at++;
        size_t start = at;
        while (at < line.len && line.data[at] != ' ' && line.data[at] != '\t' && line.data[at] != '\r') at++;
        if (at == start || (n == 0 && line.data[start] == '#')) break;
        words[n++] = (mr_span){line.data + start, at - start};
    }
    return n;
}

/* ---- a secret key's file ---- */

mr_status mr_key_write(const char *path, const char *name, const mr_key_pair *pair, mr_error *err) {
    char open_hex[MR_KEY_HEX], secret_hex[MR_KEY_HEX], text[512];
    if (access(path, F_OK) == 0) return mr_fail(err, MR_E_EXISTS, "%.300s is there already", path);
    mr_hash_hex(&pair->open, open_hex);
    mr_hash_hex(&pair->secret, secret_hex);
    int n = snprintf(text, sizeof text,
                     "# The secret key of '%s': whoever has this file comes in under that name.\npublic %s\nsecret %s\n", name,
                     open_hex, secret_hex);
    mr_status s = mr_file_write(path, (mr_span){(const uint8_t *)text, (size_t)n}, 0600, err);
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret_hex, sizeof secret_hex);
    return s;
}

/* The group of a credential that systemd passes on stands for one user: it is how an access list looks to stat. */
static mode_t modes_refused(const char *path) {
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t n = folder ? strlen(folder) : 0;
    return n && !strncmp(path, folder, n) && path[n] == '/' ? 037 : 077;
}

static mr_status check_secret(int fd, const char *path, mr_error *err) {
    struct stat s;
    if (fstat(fd, &s)) return mr_file_fail(err, errno, "look at", path);
    if (!S_ISREG(s.st_mode)) return mr_fail(err, MR_E_DENIED, "%.300s is not a plain file", path);
    if (s.st_uid != geteuid() && s.st_uid != 0)
        return mr_fail(err, MR_E_DENIED, "%.300s belongs to another user", path);
    if (s.st_mode & modes_refused(path))
        return mr_fail(err, MR_E_DENIED, "%.300s can be read by others: chmod 600 it, and make a new key if they may have",
                       path);
    return MR_OK;
}

static mr_status read_secret(const char *path, char text[KEY_FILE_MAX], size_t *len, mr_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP)
        return mr_fail(err, MR_E_DENIED, "%.300s is a symbolic link; a secret key is read from a plain file only", path);
    if (fd < 0) return mr_file_fail(err, errno, "read", path);
    mr_status s = check_secret(fd, path, err);
    ssize_t n = s == MR_OK ? read(fd, text, KEY_FILE_MAX) : 0;
    if (n < 0) s = mr_file_fail(err, errno, "read", path);
    close(fd);
    *len = n > 0 ? (size_t)n : 0;
    return s;
}

mr_status mr_key_read(const char *path, mr_key_pair *out, mr_error *err) {
    char text[KEY_FILE_MAX];
    size_t len;
    bool has_open = false, has_secret = false;
    MR_TRY(read_secret(path, text, &len, err));
    mr_span rest = {(const uint8_t *)text, len}, words[WORDS];
    while (rest.len) {
        size_t n = split(next_line(&rest), words);
        if (n == 2 && mr_span_eq(words[0], mr_span_of("public"))) has_open = mr_hash_parse(words[1], &out->open);
        if (n == 2 && mr_span_eq(words[0], mr_span_of("secret"))) has_secret = mr_hash_parse(words[1], &out->secret);
    }
    explicit_bzero(text, sizeof text);
    if (has_open && has_secret) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "%.300s is no key file: 'millrace keys create' makes one", path);
}

mr_status mr_keys_to_connect(const char *key_file, const char *server_key, mr_key_pair *own, mr_key *server, bool *plain,
                             mr_error *err) {
    *plain = !key_file[0] && !server_key[0];
    if (*plain) return MR_OK;
    if (!key_file[0] || !server_key[0])
        return mr_fail(err, MR_E_USAGE, "MILLRACE_KEY_FILE and MILLRACE_SERVER_KEY go together: set both, or neither for a "
                                        "broker without keys");
    if (!mr_hash_parse(mr_span_of(server_key), server))
        return mr_fail(err, MR_E_INVALID, "MILLRACE_SERVER_KEY is not 64 hex digits: 'millrace keys list' shows it");
    return mr_key_read(key_file, own, err);
}

/* ---- the list ---- */

static bool copy_word(mr_span word, char *to, size_t size) {
    if (word.len >= size) return false;
    memcpy(to, word.data, word.len);
    to[word.len] = 0;
    return true;
}

/* What is wrong with a line, or NULL. */
static const char *read_row(const mr_span *words, size_t n, mr_key_row *row) {
    if (n < 4 || n > 5) return "a line is KEY ROLE NAME CREATED [REVOKED]";
    if (!mr_hash_parse(words[0], &row->key)) return "the key is not 64 hex digits";
    if (!mr_key_role_by_name(words[1], &row->role)) return "there is no such role";
    if (!mr_key_name_ok(words[2]) || !copy_word(words[2], row->name, sizeof row->name)) return "the name is not valid";
    if (!copy_word(words[3], row->created, sizeof row->created)) return "the time of creation is too long";
    if (n == 5 && !copy_word(words[4], row->revoked, sizeof row->revoked)) return "the time of revocation is too long";
    return NULL;
}

static const mr_key_row *row_of(const mr_key_list *list, const mr_key *key) {
    for (size_t i = 0; i < list->count; i++)
        if (mr_hash_eq(&list->rows[i].key, key)) return &list->rows[i];
    return NULL;
}

mr_status mr_key_list_add(mr_key_list *list, const mr_key_row *row, mr_error *err) {
    if (list->count == MR_KEYS_MAX) return mr_fail(err, MR_E_LIMIT, "there are %d keys already, which is the most", MR_KEYS_MAX);
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 16;
        mr_key_row *rows = mr_grow(NULL, list->rows, list->cap, cap, sizeof *rows);
        if (!rows) return mr_fail(err, MR_E_MEMORY, "no memory for the keys");
        list->rows = rows;
        list->cap = cap;
    }
    list->rows[list->count++] = *row;
    return MR_OK;
}

static mr_status take_line(mr_span line, mr_key_list *out, mr_error *err) {
    mr_span words[WORDS];
    mr_key_row row = {0};
    size_t n = split(line, words);
    if (n == 0) return MR_OK;
    const char *wrong = read_row(words, n, &row);
    if (!wrong && row_of(out, &row.key)) wrong = "the key stands in the list twice";
    return wrong ? mr_fail(err, MR_E_INVALID, "%s", wrong) : mr_key_list_add(out, &row, err);
}

mr_status mr_key_list_parse(mr_span text, const char *path, mr_key_list *out, mr_error *err) {
    *out = (mr_key_list){0};
    for (unsigned number = 1; text.len; number++) {
        mr_status s = take_line(next_line(&text), out, err);
        if (s == MR_OK) continue;
        mr_key_list_free(out);
        return err ? mr_fail_in(err, "%.200s:%u", path, number) : s;
    }
    return MR_OK;
}

static mr_status check_list(const char *path, mr_error *err) {
    struct stat s;
    if (stat(path, &s)) return mr_file_fail(err, errno, "read", path);
    if ((s.st_uid == geteuid() || s.st_uid == 0) && !(s.st_mode & 022)) return MR_OK;
    return mr_fail(err, MR_E_DENIED, "%.300s can be written by others, who could let anybody in: chown and chmod 644 it", path);
}

mr_status mr_key_list_read(const char *path, mr_key_list *out, mr_error *err) {
    mr_buf text;
    *out = (mr_key_list){0};
    MR_TRY(check_list(path, err));
    mr_buf_init(&text, NULL, LIST_MAX);
    mr_status s = mr_file_read(path, LIST_MAX, &text, err);
    if (s == MR_OK) s = mr_key_list_parse(mr_buf_span(&text), path, out, err);
    mr_buf_free(&text);
    return s;
}

mr_status mr_key_list_write(const char *path, const mr_key_list *list, mr_error *err) {
    mr_buf text;
    mr_buf_init(&text, NULL, LIST_MAX);
    mr_buf_text(&text, "# The keys that the broker admits: KEY ROLE NAME CREATED [REVOKED]. 'millrace keys' writes this file;\n"
                       "# a running broker follows it at once.\n");
    for (size_t i = 0; i < list->count; i++) {
        const mr_key_row *r = &list->rows[i];
        char hex[MR_KEY_HEX];
        mr_hash_hex(&r->key, hex);
        mr_buf_printf(&text, "%s %s %s %s%s%s\n", hex, mr_key_role_name(r->role), r->name, r->created, r->revoked[0] ? " " : "",
                      r->revoked);
    }
    mr_status s = mr_buf_status(&text);
    if (s != MR_OK) mr_fail_text(err, s, "the list of keys is too large");
    if (s == MR_OK) s = mr_file_write(path, mr_buf_span(&text), 0644, err);
    mr_buf_free(&text);
    return s;
}

mr_key_row *mr_key_list_named(const mr_key_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->rows[i].name, name) && !list->rows[i].revoked[0]) return &list->rows[i];
    return NULL;
}

void mr_key_list_free(mr_key_list *list) {
    mr_free(NULL, list->rows, list->cap, sizeof *list->rows);
    *list = (mr_key_list){0};
}

/* ---- the keyring ---- */

/* Which file the list was read from. */
typedef struct stamp {
    bool there;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
} stamp;

struct mr_keyring {
    pthread_mutex_t lock; /* over all below it */
    char path[PATH_MAX];
    stamp read;
    mr_key_list list;
    uint64_t edition, seen; /* of the list; `seen` by the last refresh that told of a change */
    mr_status status;       /* of reading it */
    mr_error err;
};

static stamp stamp_of(const char *path) {
    struct stat s;
    if (stat(path, &s)) return (stamp){0};
    return (stamp){true, s.st_ino, s.st_size, s.st_mtim, s.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

static bool same(const stamp *a, const stamp *b) {
    return a->there == b->there && a->inode == b->inode && a->size == b->size && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

/* Under the lock. The stamp is taken first, so a change while the file is read is found at the next look. */
static void follow(mr_keyring *ring) {
    stamp now = stamp_of(ring->path);
    if (ring->edition && same(&now, &ring->read)) return;
    ring->read = now;
    ring->edition++;
    mr_key_list_free(&ring->list);
    ring->status = mr_key_list_read(ring->path, &ring->list, &ring->err);
}

mr_status mr_keyring_open(const char *path, mr_keyring **out, mr_error *err) {
    mr_keyring *ring = *out = mr_new(NULL, 1, sizeof *ring);
    if (!ring) return mr_fail(err, MR_E_MEMORY, "no memory for the keys");
    pthread_mutex_init(&ring->lock, NULL);
    mr_status s = MR_OK;
    if ((size_t)snprintf(ring->path, sizeof ring->path, "%s", path) >= sizeof ring->path)
        s = mr_fail(err, MR_E_INVALID, "the path %.200s is too long", path);
    else
        follow(ring);
    if (ring->status != MR_OK) {
        s = ring->status;
        *err = ring->err;
    }
    ring->seen = ring->edition;
    if (s != MR_OK) mr_keyring_close(out);
    return s;
}

void mr_keyring_close(mr_keyring **ring) {
    if (!*ring) return;
    mr_key_list_free(&(*ring)->list);
    pthread_mutex_destroy(&(*ring)->lock);
    mr_free(NULL, *ring, 1, sizeof **ring);
    *ring = NULL;
}

mr_status mr_keyring_refresh(mr_keyring *ring, bool *changed, mr_error *err) {
    pthread_mutex_lock(&ring->lock);
    follow(ring);
    *changed = ring->seen != ring->edition;
    ring->seen = ring->edition;
    mr_status s = *changed ? ring->status : MR_OK;
    if (s != MR_OK) *err = ring->err;
    pthread_mutex_unlock(&ring->lock);
    return s;
}

bool mr_keyring_find(mr_keyring *ring, const mr_key *key, mr_key_row *out) {
    pthread_mutex_lock(&ring->lock);
    follow(ring); /* a list that cannot be read is empty */
    const mr_key_row *row = row_of(&ring->list, key);
    if (row) *out = *row;
    pthread_mutex_unlock(&ring->lock);
    return row != NULL;
}
