-- Damage: what was stored, and was found at reading not to match its hash. The row moves here as it was found, so that
-- its place is free and the batch is computed again; the new result is the one in millrace.result.
create table millrace.damaged (
    id       bigint generated always as identity primary key,
    run_id   bigint not null references millrace.run,
    step     integer not null,
    level    smallint not null,
    batch    integer not null,
    what     text not null check (what in ('result', 'artifact')),
    attempt  bigint not null,                         -- whose it was
    worker   text not null,
    hash     bytea not null check (length(hash) = 32), -- as it should be
    bytes    bytea not null,                          -- as they were found; of a result with a damaged artifact, right
    reason   text not null,
    found_at timestamptz not null default now()
);
create index damaged_run on millrace.damaged (run_id, id);

-- What became of it: the same bytes again, others, or still waiting.
create view millrace.damage as
    select d.id, d.run_id, d.step, s.component, d.level, d.batch, d.what, d.reason, d.found_at,
           case when r.attempt is null then 'waiting'
                when d.what = 'result' then case when r.body_hash = d.hash then 'same bytes' else 'other bytes' end
                when exists (select 1 from millrace.run_artifact n where n.run_id = d.run_id and n.step = d.step
                                and n.level = d.level and n.batch = d.batch and n.hash = d.hash) then 'same bytes'
                else 'other bytes' end as again,
           r.committed_at as again_at
      from millrace.damaged d
      join millrace.run_step s on s.run_id = d.run_id and s.step = d.step
      left join millrace.result r on r.run_id = d.run_id and r.step = d.step and r.level = d.level and r.batch = d.batch;
