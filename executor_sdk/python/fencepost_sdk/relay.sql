-- The outbox of an application whose tables are in another database than Fencepost's: `enqueue` and `enqueue_many` with
-- the parameters that they have in Fencepost's own database, and the table that a relay reads.
-- Run again, it changes nothing. The functions run with the rights of their owner; grant_enqueue says who may call them.
do $$
begin
    if to_regclass('fencepost.live_tasks') is not null then
        raise exception 'this is the database of the servers, where fencepost.enqueue creates the task itself'
            using errcode = 'object_not_in_prerequisite_state', hint = 'Install no outbox here, and run no relay.';
    end if;
end
$$;

create schema if not exists fencepost;

create table if not exists fencepost.outbox (
    seq bigint generated always as identity primary key,
    id text not null,
    definition text not null,
    params json,
    label text,
    execute_at timestamptz,
    settings jsonb,
    created_at timestamptz not null default statement_timestamp(),
    -- The relay sends a row from this time on. A refused row is sent again later, and `error` says why.
    due_at timestamptz not null default statement_timestamp(),
    attempts integer not null default 0,
    error jsonb
);

create index if not exists outbox_due on fencepost.outbox (due_at, seq);

create or replace function fencepost.enqueue_many(
    definition text,
    params json[],
    ids text[] default null,
    labels text[] default null,
    execute_at timestamptz default null,
    settings jsonb default null,
    unchecked boolean default false, -- Has no effect: the server checks params when the relay sends them.
    notify boolean default false
) returns text[]
language plpgsql security definer
-- The names and operators of the caller's search path must not run with the rights of the owner.
set search_path to pg_catalog, pg_temp
as $$
declare
    size constant integer := coalesce(cardinality(params), 0);
    given text[];
begin
    if definition is null then
        raise exception 'the definition is null' using errcode = 'invalid_parameter_value';
    elsif cardinality(ids) <> size or cardinality(labels) <> size then
        raise exception 'ids and labels must be as many as the params: %', size
            using errcode = 'invalid_parameter_value';
    elsif not isfinite(execute_at) or execute_at >= '10000-01-01 UTC' or execute_at < '0001-01-02 UTC' then
        raise exception 'execute_at must be in the years 1 to 9999' using errcode = 'invalid_parameter_value';
    end if;
    with items as materialized (
        select i.place, coalesce(i.id, gen_random_uuid()::text) as id, i.label,
            case when json_typeof(i.params) <> 'null' then i.params end as params
        from rows from (unnest(params), unnest(ids), unnest(labels)) with ordinality as i (params, id, label, place)
    ),
    put as (
        insert into fencepost.outbox (id, definition, params, label, execute_at, settings)
        select i.id, enqueue_many.definition, i.params, i.label, enqueue_many.execute_at, enqueue_many.settings
        from items as i
        order by i.place
    )
    select coalesce(array_agg(i.id order by i.place), '{}') into given from items as i;
    if notify then
        perform pg_notify('fencepost_outbox', '');
    end if;
    return given;
end
$$;

create or replace function fencepost.enqueue_many(
    definition text,
    params jsonb[],
    ids text[] default null,
    labels text[] default null,
    execute_at timestamptz default null,
    settings jsonb default null,
    unchecked boolean default false,
    notify boolean default false
) returns text[]
language sql
return fencepost.enqueue_many(definition, params::json[], ids, labels, execute_at, settings, unchecked, notify);

create or replace function fencepost.enqueue(
    definition text,
    params json default null,
    id text default null,
    label text default null,
    execute_at timestamptz default null,
    settings jsonb default null,
    unchecked boolean default false,
    notify boolean default false
) returns text
language sql
return (fencepost.enqueue_many(
    definition, array[params], array[id], array[label], execute_at, settings, unchecked, notify))[1];

create or replace function fencepost.enqueue(
    definition text,
    params jsonb,
    id text default null,
    label text default null,
    execute_at timestamptz default null,
    settings jsonb default null,
    unchecked boolean default false,
    notify boolean default false
) returns text
language sql
return (fencepost.enqueue_many(
    definition, array[params::json], array[id], array[label], execute_at, settings, unchecked, notify))[1];

-- Of the three, Postgres chooses this one for a literal and for a parameter without a type.
create or replace function fencepost.enqueue(
    definition text,
    params text,
    id text default null,
    label text default null,
    execute_at timestamptz default null,
    settings jsonb default null,
    unchecked boolean default false,
    notify boolean default false
) returns text
language sql
return (fencepost.enqueue_many(
    definition, array[params::json], array[id], array[label], execute_at, settings, unchecked, notify))[1];

create or replace function fencepost.grant_enqueue(to_role name) returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
    signature text;
begin
    execute format('grant usage on schema fencepost to %I', to_role);
    for signature in
        select p.oid::regprocedure
        from pg_proc as p
        where p.pronamespace = 'fencepost'::regnamespace and p.proname in ('enqueue', 'enqueue_many')
    loop
        execute format('grant execute on function %s to %I', signature, to_role);
    end loop;
end
$$;

revoke execute on function
    fencepost.enqueue(text, json, text, text, timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue(text, jsonb, text, text, timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue(text, text, text, text, timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue_many(text, json[], text[], text[], timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue_many(text, jsonb[], text[], text[], timestamptz, jsonb, boolean, boolean),
    fencepost.grant_enqueue(name)
from public;
