-- Delivery: dead letters and reopened runs, priorities, submission by key, pauses, limits and schedules. As before, rows
-- are only ever appended; what is the case now is the last row, and the views say it.

-- ---- runs ----

alter table millrace.run
    add column priority     integer not null default 100 check (priority between 1 and 1000), -- higher first
    add column submit_key   text check (length(submit_key) between 1 and 200),
    add column request_hash bytea check (length(request_hash) = 32); -- of what was submitted under that key
create unique index run_submit_key on millrace.run (submit_key);

-- A run has lives: it ends, and when dead letters of it are replayed it is reopened and goes on where it was. Its results
-- stay; they are unique on their batch whatever life they are from.
alter table millrace.run_end rename to run_ending;
alter table millrace.run_ending add column life integer not null default 0;
alter table millrace.run_ending drop constraint run_end_pkey;
alter table millrace.run_ending add constraint run_ending_pkey primary key (run_id, life);
create table millrace.run_reopen (
    run_id bigint not null references millrace.run,
    life   integer not null check (life > 0),         -- the one that begins
    reason text not null default '',
    client text not null,
    at     timestamptz not null default now(),
    primary key (run_id, life)
);
-- A run is running while it has no row here.
create view millrace.run_end as
    select e.run_id, e.state, e.reason, e.counts, e.ended_at, e.life
      from millrace.run_ending e
     where not exists (select 1 from millrace.run_reopen o where o.run_id = e.run_id and o.life > e.life);

-- ---- dead letters ----

create index attempt_failure_dead on millrace.attempt_failure (id) where dead;
create index attempt_failure_batch on millrace.attempt_failure (run_id, step, level, batch);
create table millrace.dead_letter_end (
    failure_id bigint primary key references millrace.attempt_failure,
    action     text not null check (action in ('replayed', 'discarded')),
    reason     text not null default '',
    client     text not null,
    at         timestamptz not null default now()
);
-- The batches that were given up and that nobody has decided about.
create view millrace.dead_letter as
    select f.id, f.run_id, f.step, s.component, f.level, f.batch, f.attempt, f.worker, f.status, f.reason, f.at
      from millrace.attempt_failure f
      join millrace.run_step s on s.run_id = f.run_id and s.step = f.step
     where f.dead
       and not exists (select 1 from millrace.dead_letter_end d where d.failure_id = f.id)
       and not exists (select 1 from millrace.result r where r.run_id = f.run_id and r.step = f.step and r.level = f.level
                          and r.batch = f.batch);

-- ---- pauses and limits, of a component, a run or a client ----

create table millrace.pause (
    id      bigint generated always as identity primary key,
    subject text not null check (subject in ('component', 'run', 'client')),
    name    text not null check (length(name) between 1 and 64),
    paused  boolean not null,
    reason  text not null default '',
    client  text not null,
    at      timestamptz not null default now()
);
create index pause_last on millrace.pause (subject, name, id desc);
create view millrace.pause_now as
    select distinct on (subject, name) * from millrace.pause order by subject, name, id desc;

create table millrace.limit_rule (
    id             bigint generated always as identity primary key,
    subject        text not null check (subject in ('component', 'run', 'client')),
    name           text not null check (length(name) between 1 and 64),
    max_concurrent integer not null default 0 check (max_concurrent >= 0),   -- 0: any number
    per_second     double precision not null default 0 check (per_second between 0 and 1000000), -- 0: any number
    burst          integer not null default 1 check (burst between 1 and 1000000),
    client         text not null,
    at             timestamptz not null default now()
);
create index limit_rule_last on millrace.limit_rule (subject, name, id desc);
create view millrace.limit_now as
    select distinct on (subject, name) * from millrace.limit_rule order by subject, name, id desc;

create view millrace.rule_now as
    select subject, name, coalesce(p.paused, false) as paused, coalesce(l.max_concurrent, 0) as max_concurrent,
           coalesce(l.per_second, 0) as per_second, coalesce(l.burst, 1) as burst
      from millrace.pause_now p full join millrace.limit_now l using (subject, name);

-- ---- schedules, by this database's clock ----

create table millrace.schedule (
    id         bigint generated always as identity primary key,
    name       text not null default '',
    every_s    bigint check (every_s > 0),
    cron       text,                                  -- minute hour day month weekday, in UTC; neither: once
    first_due  timestamptz not null,
    request    bytea not null,                        -- msgpack: the arguments of the command `run`
    client     text not null,
    created_at timestamptz not null default now(),
    check (every_s is null or cron is null)
);
create table millrace.schedule_end (
    schedule_id bigint primary key references millrace.schedule,
    client      text not null,
    at          timestamptz not null default now()
);
-- Comes in one transaction with the run that it starts; so a time is fired once, whoever tries.
create table millrace.schedule_fire (
    schedule_id bigint not null references millrace.schedule,
    due         timestamptz not null,
    next_due    timestamptz,                          -- null: never again
    run_id      bigint references millrace.run,       -- null: it could not be planned
    reason      text not null default '',
    fired_at    timestamptz not null default now(),
    primary key (schedule_id, due)
);
create view millrace.schedule_now as
    select s.id, s.name, s.every_s, s.cron, s.request, s.client, s.created_at, f.due as last_due, f.run_id as last_run,
           f.reason as last_reason, case when f.due is null then s.first_due else f.next_due end as next_due
      from millrace.schedule s
      left join lateral (select * from millrace.schedule_fire x where x.schedule_id = s.id order by x.due desc limit 1) f on true
     where not exists (select 1 from millrace.schedule_end e where e.schedule_id = s.id);
