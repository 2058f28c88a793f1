-- Chains: what a step of a run is given by other steps, fixed when the run is planned.

alter table millrace.run_step add column name text not null default ''; -- its id in the pipeline; '': none

create table millrace.run_step_input (
    run_id    bigint not null,
    step      integer not null,
    place     integer not null,                      -- order of a step's inputs, from 0
    use       smallint not null check (use between 0 and 2), -- input, features, model
    component text not null,                         -- that made it
    artifact  text not null default '',              -- its name; '': the result itself
    from_run  bigint references millrace.run,        -- null: a step of the same run
    from_step integer not null,
    hash      bytea check (length(hash) = 32),       -- null: of the same run, and not known when it was planned
    primary key (run_id, step, place),
    foreign key (run_id, step) references millrace.run_step
);
create index run_step_input_from on millrace.run_step_input (from_run) where from_run is not null;
create index run_step_component on millrace.run_step (component, run_id);

-- What was given, with the hash that it has by now.
create view millrace.run_chain as
    select i.run_id, i.step, i.place, i.use, i.component, i.artifact, coalesce(i.from_run, i.run_id) as from_run,
           i.from_step,
           coalesce(i.hash, case when i.artifact = '' then r.body_hash else
               (select a.hash from millrace.run_artifact a where a.run_id = r.run_id and a.step = r.step
                   and a.level = r.level and a.batch = r.batch and a.name = i.artifact) end) as hash
      from millrace.run_step_input i
      left join millrace.result r on r.run_id = coalesce(i.from_run, i.run_id) and r.step = i.from_step and r.last;
