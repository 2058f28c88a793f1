-- The first schema. Truth is append-only: what was accepted is a row, what was done is a row, and nothing that a
-- run does updates a row in place. The only rows that change are leases, a prompt's `active` and a few names.

create schema if not exists millrace;

-- ---- data ----

create table millrace.dataset (
    id         bigint generated always as identity primary key,
    name       text not null unique check (length(name) between 1 and 64),
    kind       text not null check (kind in ('prompts', 'table', 'baskets', 'sequences', 'graphs', 'series', 'choices')),
    columns    jsonb not null default '[]',          -- table: [{"name": ..., "type": ...}, ...] in order
    created_at timestamptz not null default now()
);
insert into millrace.dataset (name, kind) values ('prompts', 'prompts');

create table millrace.ingest (
    id         bigint generated always as identity primary key,
    dataset_id bigint not null references millrace.dataset,
    paths      jsonb not null,                       -- what the client was told to read
    client     text not null,
    revises    boolean not null default false,       -- known contents with other fields become new revisions
    started_at timestamptz not null default now()
);
create table millrace.ingest_end (
    ingest_id  bigint primary key references millrace.ingest,
    rows_read  bigint not null,
    rejected   bigint not null,
    ended_at   timestamptz not null default now()
);
create table millrace.ingest_reject (
    id         bigint generated always as identity primary key,
    ingest_id  bigint not null references millrace.ingest,
    file       text not null,
    line       bigint not null,
    "column"   integer not null,                     -- 0 when the row as a whole is meant
    status     integer not null,
    reason     text not null
);
create index ingest_reject_ingest on millrace.ingest_reject (ingest_id, id);

create table millrace.prompt_sessions (
    id         bigint generated always as identity primary key,
    name       text not null unique check (length(name) between 1 and 128),
    created_at timestamptz not null default now()
);

create table millrace.training_prompts (
    id               bigint generated always as identity primary key,
    content_hash     bytea not null check (length(content_hash) = 32), -- of prompt and enhancement
    prompt           text not null,
    enhancement      text,
    enhancement_json boolean not null default false, -- it is canonical JSON, not text
    source           text not null check (source in ('synthetic', 'user', 'api')),
    priority         integer not null check (priority between 1 and 1000),
    session_id       bigint references millrace.prompt_sessions,
    score            double precision check (score between 0 and 1),
    success          boolean,
    labels           jsonb,
    metadata         jsonb,
    created_at       timestamptz not null,           -- as the row says, else when it came in
    ingest_id        bigint references millrace.ingest,
    features         bytea not null check (length(features) = 124),    -- 31 float32, little-endian
    features_version integer not null,
    revision         integer not null default 1,
    supersedes       bigint references millrace.training_prompts,      -- the revision before
    superseded       boolean not null default false,                   -- a later revision took its place
    active           boolean not null default true,  -- false: deleted, or superseded
    check (not (superseded and active))
);
-- One row a content: a deleted prompt stays deleted when its file is read again.
create unique index training_prompts_content on millrace.training_prompts (content_hash) where not superseded;
create index training_prompts_superseded on millrace.training_prompts (content_hash, revision) where superseded;
create index training_prompts_active on millrace.training_prompts (id) where active;
create index training_prompts_session on millrace.training_prompts (session_id, id) where session_id is not null;

-- What happened to prompts after they came in. That they came in, when and by which ingest, is in the row itself.
create table millrace.prompt_event (
    id        bigint generated always as identity primary key,
    prompt_id bigint not null references millrace.training_prompts,
    event     text not null check (event in ('updated', 'deleted')),
    reason    text not null default '',
    client    text not null,
    at        timestamptz not null default now()
);
create index prompt_event_prompt on millrace.prompt_event (prompt_id, id);
create view millrace.prompt_audit as
    select id as prompt_id, 'created' as event, '' as reason, '' as client, created_at as at, revision
      from millrace.training_prompts
    union all
    select e.prompt_id, e.event, e.reason, e.client, e.at, p.revision
      from millrace.prompt_event e join millrace.training_prompts p on p.id = e.prompt_id;

-- A row of a table: its typed values as one msgpack array, exact to the bit. The key tells one place in one file from
-- another, so that a table may hold equal rows, and a file that is read again adds nothing.
create table millrace.table_row (
    id           bigint generated always as identity primary key,
    dataset_id   bigint not null references millrace.dataset,
    row_key      bytea not null check (length(row_key) = 32),
    content_hash bytea not null check (length(content_hash) = 32),
    cells        bytea not null,
    ingest_id    bigint references millrace.ingest,
    unique (dataset_id, row_key)
);
create index table_row_order on millrace.table_row (dataset_id, id);

-- ---- versions: immutable, ordered lists of row ids ----

create table millrace.dataset_version (
    id           bigint generated always as identity primary key,
    dataset_id   bigint not null references millrace.dataset,
    row_count    bigint not null check (row_count > 0),
    content_hash bytea not null check (length(content_hash) = 32), -- over the rows' content hashes, in order
    created_at   timestamptz not null default now(),
    unique (dataset_id, content_hash)
);
create table millrace.version_rows (
    version_id bigint not null references millrace.dataset_version,
    chunk      integer not null,                     -- position / 4096
    row_ids    bigint[] not null,
    primary key (version_id, chunk)
);

-- ---- runs ----

create table millrace.run (
    id         bigint generated always as identity primary key,
    name       text not null default '',
    version_id bigint not null references millrace.dataset_version,
    partition  integer not null generated always as ((id % 16)::integer) stored, -- whose lease fences it
    batch_size integer not null check (batch_size between 1 and 1000000),
    seed       bigint not null,
    roles      jsonb not null default '{}',
    client     text not null,
    created_at timestamptz not null default now()
);
create table millrace.run_step (
    run_id      bigint not null references millrace.run,
    step        integer not null,
    component   text not null,
    version     integer not null,
    shape       smallint not null check (shape between 0 and 2), -- map, merge, whole
    options     jsonb not null,                      -- every option with its value, defaults included
    columns     integer not null,                    -- which columns its segments hold
    batch_rows  integer not null,
    deadline_ms integer not null,
    primary key (run_id, step)
);
-- A run is running while it has no row here.
create table millrace.run_end (
    run_id   bigint primary key references millrace.run,
    state    text not null check (state in ('succeeded', 'failed', 'cancelled')),
    reason   text not null default '',
    counts   jsonb not null default '[]',            -- for each step: batches done and given up, by level
    ended_at timestamptz not null default now()
);

-- The one outcome of a batch (level 0) or merge. Partitioned by run, so that old runs are dropped and not deleted.
create table millrace.result (
    run_id       bigint not null,
    step         integer not null,
    level        smallint not null,
    batch        integer not null,
    last         boolean not null,                   -- the step's result; false: a partial
    first_row    bigint not null,                    -- of the version; for a merge, of its first batch
    row_count    bigint not null,
    attempt      bigint not null,
    worker       text not null,
    compute_us   bigint not null,
    body_hash    bytea not null check (length(body_hash) = 32),
    body         bytea not null,                     -- msgpack, or a partial's bytes
    committed_at timestamptz not null default now(),
    primary key (run_id, step, level, batch)
) partition by range (run_id);

-- Fences a transaction: locks the lease rows and fails unless all of them still have this owner and these epochs.
create function millrace.fence(partitions integer[], epochs bigint[], owner_name text) returns void
language plpgsql as $$
declare
    held integer;
begin
    perform 1 from millrace.partition_lease l where l.partition = any (partitions) order by l.partition for share;
    select count(*) into held
      from unnest(partitions, epochs) w (partition, epoch)
      join millrace.partition_lease l on l.partition = w.partition and l.epoch = w.epoch and l.owner = owner_name;
    if held <> cardinality(partitions) then
        raise exception 'partition lease lost' using errcode = 'MR001';
    end if;
end $$;

-- Makes the partition that holds a run; 256 runs share one.
create function millrace.result_partition_for(run bigint) returns void language plpgsql as $$
declare
    low bigint := run / 256 * 256;
begin
    execute format('create table if not exists millrace.result_%s partition of millrace.result'
                   ' for values from (%s) to (%s)', low / 256, low, low + 256);
end $$;

create table millrace.attempt_failure (
    id      bigint generated always as identity primary key,
    run_id  bigint not null references millrace.run,
    step    integer not null,
    level   smallint not null,
    batch   integer not null,
    attempt bigint not null,
    worker  text not null,
    status  integer not null,
    reason  text not null,
    dead    boolean not null,                        -- the batch was given up
    at      timestamptz not null default now()
);
create index attempt_failure_run on millrace.attempt_failure (run_id, id);

-- ---- artifacts ----

create table millrace.artifact (
    hash       bytea primary key check (length(hash) = 32),
    media_type text not null,
    bytes      bytea not null,
    created_at timestamptz not null default now()
);
alter table millrace.artifact alter column bytes set storage external; -- compressed by us where it pays
create table millrace.run_artifact (
    run_id bigint not null references millrace.run,
    step   integer not null,
    level  smallint not null,
    batch  integer not null,
    name   text not null,
    hash   bytea not null references millrace.artifact,
    primary key (run_id, step, level, batch, name)
);
create index run_artifact_hash on millrace.run_artifact (hash);

-- ---- who owns what ----

-- Work hashes to partitions; each is owned by one broker under an epoch, by this database's clock. A statement that
-- claims or commits locks its lease rows FOR SHARE and compares the epoch: without the lock the test does not fence.
create table millrace.partition_lease (
    partition  integer primary key,
    owner      text not null default '',
    epoch      bigint not null default 0,
    expires_at timestamptz not null default '-infinity'
);
insert into millrace.partition_lease (partition) select generate_series(0, 15);
-- Attempt numbers are epoch-wide blocks of this sequence, so none is ever used again.
create sequence millrace.attempt_block as bigint;
