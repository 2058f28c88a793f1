-- Who was refused, and who wrote what. Rows are added and never changed; only the owner of the schema can take old ones
-- away, by dropping the trigger.

create table millrace.audit (
    id       bigint generated always as identity primary key,
    first_at timestamptz not null,
    last_at  timestamptz not null,                   -- events that say the same within a second are one row
    event    text not null check (event in ('refused', 'command')),
    name     text not null,                          -- of the key; without keys what the peer calls itself
    key      text not null,                          -- public, as hex; '' without keys
    role     text not null,
    address  text not null,
    what     text not null,                          -- handshake, session, a command's name, or more
    status   integer not null,                       -- 0, or why not: a number of common/status.def
    detail   text not null,
    count    bigint not null check (count > 0)
);

create function millrace.audit_stays() returns trigger language plpgsql as $$
begin
    raise exception 'rows of millrace.audit are not changed';
end $$;
create trigger audit_stays before update or delete or truncate on millrace.audit
    for each statement execute function millrace.audit_stays();
