-- Several brokers on one database: who they are, and a fence that does not hold up the renewal of leases.

-- The brokers that were seen of late. A name is one process: who starts under the name of another takes its place.
create table millrace.broker (
    name       text primary key check (length(name) between 1 and 127),
    instance   text not null,                         -- of the process, random
    address    text not null,                         -- where workers and clients reach it
    state      text not null check (state in ('serving', 'draining', 'left')),
    started_at timestamptz not null default now(),
    seen_at    timestamptz not null default now(),
    expires_at timestamptz not null,                  -- from then on it does not count as alive
    sharing    boolean not null default true          -- it goes beyond no limit but for its rows in limit_share
);
-- What a broker may use, at most, of a limit that several keep together; only of those that are alive.
create table millrace.limit_share (
    subject    text not null,
    name       text not null,
    broker     text not null references millrace.broker on delete cascade,
    wanted     boolean not null,                      -- it has something to send under the limit, or out
    slots      integer not null,
    per_second double precision not null,
    primary key (subject, name, broker)
);

-- The epoch belongs to a key, so a statement that changes it locks the row FOR UPDATE and waits for every fenced
-- transaction, which holds it FOR KEY SHARE; one that only renews does not wait, and holds nobody up.
alter table millrace.partition_lease add constraint partition_lease_epoch unique (partition, epoch);

create or replace function millrace.fence(partitions integer[], epochs bigint[], owner_name text) returns void
language plpgsql as $$
declare
    held integer;
begin
    perform 1 from millrace.partition_lease l where l.partition = any (partitions) order by l.partition for key share;
    select count(*) into held
      from unnest(partitions, epochs) w (partition, epoch)
      join millrace.partition_lease l on l.partition = w.partition and l.epoch = w.epoch and l.owner = owner_name;
    if held <> cardinality(partitions) then
        raise exception 'partition lease lost' using errcode = 'MR001';
    end if;
end $$;

-- A run number that falls into one of these partitions; numbers that do not are left out.
create function millrace.run_id_in(partitions integer[]) returns bigint language plpgsql as $$
declare
    id bigint;
begin
    if cardinality(partitions) = 0 then
        raise exception 'no partition is owned' using errcode = 'MR002';
    end if;
    loop
        id := nextval(pg_get_serial_sequence('millrace.run', 'id'));
        exit when (id % 16)::integer = any (partitions);
    end loop;
    return id;
end $$;
