#include "broker/cli/home.h"
#include "broker/cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/file.h"
#include "common/net.h"

typedef struct settings {
    mr_globals globals;
    int64_t role;
    char folder[MR_OPTION_TEXT], output[MR_OPTION_TEXT];
} settings;

static const char *const roles[] = {"viewer", "producer", "operator", "admin", "worker", NULL};
static const mr_option options[] = {
    {.name = "role", .type = MR_OPT_CHOICE, .offset = offsetof(settings, role), .def = "viewer", .choices = roles,
     .flag = 'r', .help = "create: what the key may do; a worker's key opens workers' sessions only"},
    {.name = "folder", .type = MR_OPT_TEXT, .offset = offsetof(settings, folder),
     .help = "folder with server.key and allowed, as the broker reads them (keys in the home folder when not given)"},
    {.name = "output", .type = MR_OPT_TEXT, .offset = offsetof(settings, output), .flag = 'o',
     .help = "create, rotate: folder for NAME.key (that of the keys when not given)"},
    MR_GLOBAL_OPTIONS,
};
static const char *const verbs[] = {"list", "create", "revoke", "rotate", NULL};
enum { LIST, CREATE, REVOKE, ROTATE };

/* The folder of the keys, while it is worked on. */
typedef struct store {
    char folder[PATH_MAX], allowed[PATH_MAX], server[PATH_MAX], output[PATH_MAX];
    int lock;
    mr_key_pair broker;
    mr_key_list list;
} store;

static const char server_name[] = "server";

/* ---- the folder ---- */

static mr_status join(char out[PATH_MAX], const char *folder, const char *name, const char *ending, mr_error *err) {
    int n = snprintf(out, PATH_MAX, "%s/%s%s", folder, name, ending);
    return n > 0 && n < PATH_MAX ? MR_OK : mr_fail(err, MR_E_INVALID, "the path %.200s is too long", folder);
}

static mr_status find_folder(const settings *s, store *k, mr_error *err) {
    mr_home home;
    if (s->folder[0]) {
        snprintf(k->folder, sizeof k->folder, "%s", s->folder);
    } else {
        MR_TRY(mr_home_open(&s->globals, &home, err));
        MR_TRY(join(k->folder, home.path, "keys", "", err));
    }
    MR_TRY(join(k->allowed, k->folder, "allowed", "", err));
    return join(k->server, k->folder, server_name, ".key", err);
}

static mr_status make_server_key(store *k, mr_error *err) {
    if (access(k->server, F_OK) == 0) return MR_OK;
    MR_TRY(mr_net_new_keys(&k->broker, err));
    MR_TRY(mr_key_write(k->server, server_name, &k->broker, err));
    return mr_key_list_write(k->allowed, &k->list, err);
}

/* Holds the folder until close_store, so that two commands do not undo each other. */
static mr_status open_store(const settings *s, store *k, bool make, mr_error *err) {
    MR_TRY(find_folder(s, k, err));
    if (make) MR_TRY(mr_make_dirs(k->folder, 0755, err));
    k->lock = open(k->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->lock < 0) {
        mr_file_fail(err, errno, "read", k->folder);
        return err->status == MR_E_NOT_FOUND
                   ? mr_fail(err, MR_E_NOT_FOUND, "there are no keys in %.300s: 'millrace keys create' makes them", k->folder)
                   : err->status;
    }
    if (flock(k->lock, LOCK_EX)) return mr_file_fail(err, errno, "lock", k->folder);
    if (make) MR_TRY(make_server_key(k, err));
    MR_TRY(mr_key_read(k->server, &k->broker, err));
    return mr_key_list_read(k->allowed, &k->list, err);
}

static void close_store(store *k) {
    if (k->lock >= 0) close(k->lock);
    mr_key_list_free(&k->list);
    explicit_bzero(&k->broker, sizeof k->broker);
}

/* ---- what is shown ---- */

static mr_status show_key(const mr_cli *cli, const store *k, const mr_key_row *row, const char *file, mr_error *err) {
    char hex[MR_KEY_HEX], server[MR_KEY_HEX];
    mr_buf pack;
    mr_hash_hex(&row->key, hex);
    mr_hash_hex(&k->broker.open, server);
    const char *const members[][2] = {{"name", row->name},           {"role", mr_key_role_name(row->role)},
                                      {"key", hex},                  {"MILLRACE_KEY_FILE", file},
                                      {"MILLRACE_SERVER_KEY", server}};
    mr_buf_init(&pack, NULL, 1 << 16);
    mr_pack_map(&pack, 5);
    for (size_t i = 0; i < 5; i++) {
        mr_pack_text(&pack, members[i][0]);
        mr_pack_text(&pack, members[i][1]);
    }
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

static void put_row(mr_buf *pack, const char *name, const char *role, const mr_key *key, const char *created,
                    const char *revoked) {
    char hex[MR_KEY_HEX];
    mr_hash_hex(key, hex);
    const char *const cells[] = {name, role, created, revoked, hex};
    mr_pack_array(pack, 5);
    for (size_t i = 0; i < 5; i++) mr_pack_text(pack, cells[i]);
}

static mr_status show_list(const mr_cli *cli, const store *k, mr_error *err) {
    static const char *const columns[] = {"name", "role", "created", "revoked", "key"};
    mr_buf pack;
    mr_buf_init(&pack, NULL, 8 << 20);
    mr_pack_map(&pack, 2);
    mr_pack_text(&pack, "columns");
    mr_pack_array(&pack, 5);
    for (size_t i = 0; i < 5; i++) mr_pack_text(&pack, columns[i]);
    mr_pack_text(&pack, "rows");
    mr_pack_array(&pack, (uint32_t)k->list.count + 1);
    put_row(&pack, server_name, "broker", &k->broker.open, "", "");
    for (size_t i = 0; i < k->list.count; i++) {
        const mr_key_row *r = &k->list.rows[i];
        put_row(&pack, r->name, mr_key_role_name(r->role), &r->key, r->created, r->revoked);
    }
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

/* ---- verbs ---- */

static mr_status named(store *k, const char *name, mr_key_row **row, mr_error *err) {
    *row = mr_key_list_named(&k->list, name);
    return *row ? MR_OK : mr_fail(err, MR_E_NOT_FOUND, "there is no key '%.80s' that is in use: 'millrace keys list'", name);
}

/* A row for a new key, whose file is written under `file`. */
static mr_status new_key(const char *name, mr_key_role role, const char *file, mr_key_row *row, mr_error *err) {
    mr_key_pair pair;
    *row = (mr_key_row){.role = role};
    snprintf(row->name, sizeof row->name, "%s", name);
    mr_time_text(mr_clock_wall_ns(), row->created);
    MR_TRY(mr_net_new_keys(&pair, err));
    mr_status status = mr_key_write(file, name, &pair, err);
    row->key = pair.open;
    explicit_bzero(&pair, sizeof pair);
    return status;
}

static mr_status create(const mr_cli *cli, const settings *s, store *k, const char *name, mr_error *err) {
    mr_key_row row;
    if (!strcmp(name, server_name) || mr_key_list_named(&k->list, name))
        return mr_fail(err, MR_E_EXISTS, "there is a key '%s' already: rotate or revoke it, or choose another name", name);
    MR_TRY(join(k->output, s->output[0] ? s->output : k->folder, name, ".key", err));
    MR_TRY(new_key(name, (mr_key_role)s->role, k->output, &row, err));
    mr_status status = mr_key_list_add(&k->list, &row, err);
    if (status == MR_OK) status = mr_key_list_write(k->allowed, &k->list, err);
    if (status != MR_OK) unlink(k->output);
    return status == MR_OK ? show_key(cli, k, &row, k->output, err) : status;
}

static mr_status put_in_place(const char *fresh, const char *file, mr_error *err) {
    if (rename(fresh, file) == 0) return MR_OK;
    return mr_fail(err, MR_E_IO, "the new key is in %.200s and could not be moved to %.200s: %s", fresh, file, strerror(errno));
}

static mr_status rotate_server(const mr_cli *cli, store *k, mr_error *err) {
    char fresh[PATH_MAX];
    mr_key_row row;
    MR_TRY(join(fresh, k->folder, server_name, ".key.new", err));
    MR_TRY(new_key(server_name, MR_KEY_ADMIN, fresh, &row, err));
    MR_TRY(put_in_place(fresh, k->server, err));
    MR_TRY(mr_key_read(k->server, &k->broker, err));
    fprintf(stderr, "the broker has a new key: start it again and give everybody its MILLRACE_SERVER_KEY\n");
    return show_list(cli, k, err);
}

static mr_status rotate(const mr_cli *cli, const settings *s, store *k, const char *name, mr_error *err) {
    char fresh[PATH_MAX];
    mr_key_row *old, row;
    if (!strcmp(name, server_name)) return rotate_server(cli, k, err);
    MR_TRY(named(k, name, &old, err));
    MR_TRY(join(k->output, s->output[0] ? s->output : k->folder, name, ".key", err));
    MR_TRY(join(fresh, s->output[0] ? s->output : k->folder, name, ".key.new", err));
    MR_TRY(new_key(name, old->role, fresh, &row, err));
    snprintf(old->revoked, sizeof old->revoked, "%s", row.created);
    mr_status status = mr_key_list_add(&k->list, &row, err);
    if (status == MR_OK) status = mr_key_list_write(k->allowed, &k->list, err);
    if (status != MR_OK) {
        unlink(fresh);
        return status;
    }
    MR_TRY(put_in_place(fresh, k->output, err));
    return show_key(cli, k, &row, k->output, err);
}

static mr_status revoke_key(store *k, const char *name, mr_error *err) {
    mr_key_row *row;
    MR_TRY(named(k, name, &row, err));
    mr_time_text(mr_clock_wall_ns(), row->revoked);
    MR_TRY(mr_key_list_write(k->allowed, &k->list, err));
    fprintf(stderr, "the key '%s' is revoked; a running broker ends its sessions at once\n", name);
    return MR_OK;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    store k = {.lock = -1};
    size_t verb;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb == LIST ? 1 : 2, err));
    const char *name = mr_cli_operand(cli, 1);
    if (verb != LIST && (!name || !mr_key_name_ok(mr_span_of(name))))
        return mr_fail(err, MR_E_USAGE, "millrace keys %s needs a name: 1 to 63 letters, digits, '.', '_', '-'", verbs[verb]);
    mr_status status = open_store(s, &k, verb == CREATE, err);
    if (status == MR_OK && verb == LIST) status = show_list(cli, &k, err);
    if (status == MR_OK && verb == CREATE) status = create(cli, s, &k, name, err);
    if (status == MR_OK && verb == REVOKE) status = revoke_key(&k, name, err);
    if (status == MR_OK && verb == ROTATE) status = rotate(cli, s, &k, name, err);
    close_store(&k);
    return status;
}

const mr_cli_command mr_cli_keys = {
    .name = "keys",
    .summary = "make, list, revoke and replace the keys that may connect to the broker",
    .operands = "[list | create NAME | revoke NAME | rotate NAME]",
    .detail = "Works on files, on the broker's machine: server.key (its secret), allowed (who may come in, with which\n"
              "role) and NAME.key (a secret to hand over). The first create makes the folder and the broker's key. Start\n"
              "the broker with MILLRACE_SERVER_KEY_FILE and MILLRACE_ALLOW_FILE; whoever connects sets\n"
              "MILLRACE_KEY_FILE and MILLRACE_SERVER_KEY. Rotating makes a new key and revokes the old one at once;\n"
              "'rotate server' replaces the broker's own.",
    .example = "millrace keys create worker-1 --role worker --output .\n"
               "millrace keys revoke worker-1\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
