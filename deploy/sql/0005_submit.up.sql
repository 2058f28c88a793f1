-- Streams: runs whose inputs are submitted one by one, as tasks with a body. A task is one batch of the run's only step,
-- numbered from 0 in the order in which it was accepted, so results, failures and dead letters are rows like any other's.

alter table millrace.run alter column version_id drop not null; -- null: a stream

-- A stream takes tasks while it has no row here.
create table millrace.stream_end (
    run_id bigint primary key references millrace.run,
    client text not null,
    at     timestamptz not null default now()
);

-- One packet of a producer: tasks first_task .. first_task + tasks - 1. A packet that comes again is known by its number.
create table millrace.task_block (
    run_id     bigint not null,
    first_task bigint not null,
    tasks      integer not null check (tasks > 0),
    producer   bigint not null,                      -- a random number, or one made from the producer's key
    packet     bigint not null,                      -- of this producer, from 0
    size       integer not null,                     -- bytes of all pieces
    ids        text[],                               -- the producer's name of each task; null: no task has one
    client     text not null,
    at         timestamptz not null default now(),
    primary key (run_id, first_task),
    unique (run_id, producer, packet)
) partition by range (run_id);

-- The packet's bytes (common/packet.h), cut into pieces that fill a page: a row in the page costs half of what the same
-- bytes cost out of line.
create table millrace.task_piece (
    run_id     bigint not null,
    first_task bigint not null,
    piece      integer not null,
    bytes      bytea not null,
    primary key (run_id, first_task, piece)
) partition by range (run_id);
alter table millrace.task_piece alter column bytes set storage plain;

-- Makes the partitions that hold a stream; 16 runs share one.
create function millrace.task_partition_for(run bigint) returns void language plpgsql as $$
begin
    perform millrace.partition_for('millrace.task_block', run, 16); -- of migration 10
    perform millrace.partition_for('millrace.task_piece', run, 16);
end $$;

-- How many tasks a stream has.
create function millrace.task_count(run bigint) returns bigint language sql stable as $$
    select coalesce((select b.first_task + b.tasks from millrace.task_block b where b.run_id = run
                      order by b.first_task desc limit 1), 0)
$$;
