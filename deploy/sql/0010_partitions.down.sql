create or replace function millrace.result_partition_for(run bigint) returns void language plpgsql as $$
declare
    low bigint := run / 256 * 256;
begin
    execute format('create table if not exists millrace.result_%s partition of millrace.result'
                   ' for values from (%s) to (%s)', low / 256, low, low + 256);
end $$;
drop function millrace.partition_for(text, bigint, bigint);
