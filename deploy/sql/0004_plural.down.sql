drop function millrace.run_id_in;
create or replace function millrace.fence(partitions integer[], epochs bigint[], owner_name text) returns void
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
alter table millrace.partition_lease drop constraint partition_lease_epoch;
drop table millrace.limit_share;
drop table millrace.broker;
