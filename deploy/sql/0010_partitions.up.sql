-- New partitions come without a lock that readers hold up. CREATE TABLE ... PARTITION OF locks the parent against everybody: it
-- waits for the longest reader, and all writers wait behind it. A table that is made alone and then attached locks the
-- parent only against others that do the same.
create function millrace.partition_for(parent text, run bigint, share bigint) returns void language plpgsql as $$
declare
    low  bigint := run / share * share;
    part text := format('%s_%s', parent, low / share);
begin
    if to_regclass(part) is not null then
        return;
    end if;
    execute format('lock table %s in share update exclusive mode', parent); -- as attaching does: whoever is second waits
    if to_regclass(part) is not null then
        return;
    end if;
    execute format('create table %s (like %s including all)', part, parent);
    execute format('alter table %s attach partition %s for values from (%s) to (%s)', parent, part, low, low + share);
end $$;

-- Makes the partition that holds a run; 256 runs share one.
create or replace function millrace.result_partition_for(run bigint) returns void language sql as $$
    select millrace.partition_for('millrace.result', run, 256)
$$;
