/* The arguments of a call: the first byte picks the command, the rest is its msgpack map. What the check
 * takes, the readers of arguments must take, and a run is read whole, with the catalogue of a worker. */
#include "broker/io/broker.h"
#include "broker/io/call_args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char catalogue[] = "[{\"name\":\"echo\",\"version\":1,\"shape\":\"map\",\"columns\":[\"prompt\"]"
                                ",\"columns_wanted\":[\"score\"],\"batch_rows\":0,"
                                "\"deadline_ms\":1000,\"options\":[{\"name\":\"depth\",\"type\":\"integer\","
                                "\"default\":\"3\",\"min\":1,\"max\":9},"
                                "{\"name\":\"word\",\"type\":\"text\",\"default\":\"\"}]}]";

static void read_all(const mr_command_row *row, mr_span args) {
    mr_unpack value;
    for (uint16_t i = 0; i < row->arg_count; i++) {
        const mr_command_arg *a = &row->args[i];
        mr_error err;
        bool there = mr_arg_find(args, a->name, &value);
        MR_ASSERT(there || !a->required);
        if (there) MR_ASSERT(mr_unpack_skip(&value, &err) == MR_OK);
        mr_arg_number(args, a->name, 7);
        mr_arg_text(args, a->name);
        mr_arg_flag(args, a->name);
    }
}

static void read_run(mr_span args) {
    mr_error err = {0};
    mr_broker *b = mr_new(NULL, 1, sizeof *b);
    mr_plan_job *job = mr_plan_job_new();
    MR_ASSERT(b && job && mr_catalogue_add(&b->catalogue, mr_span_of(catalogue), &err) == MR_OK);
    mr_status s = mr_broker_read_run(b, args, job, &err);
    MR_ASSERT(s == MR_OK ? job->steps >= 1 && job->steps <= MR_STEPS_MAX && job->batch_size >= 1
                         : err.text[0] != 0);
    mr_plan_job_free(job);
    mr_catalogue_free(&b->catalogue);
    mr_free(NULL, b, 1, sizeof *b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err = {0};
    MR_ASSERT(mr_crypto_init(&err) == MR_OK);
    if (!size) return 0;
    const mr_command_row *row = &mr_commands[data[0] % MR_COMMAND_COUNT];
    mr_span args = {data + 1, size - 1};
    if (mr_command_check_args(row, args, &err) != MR_OK) {
        MR_ASSERT(err.text[0]);
        return 0;
    }
    read_all(row, args);
    if (row->number == MR_CMD_RUN) read_run(args);
    return 0;
}
