-- Functions that create tasks inside the caller's own transaction: docs/transactions.md, and
-- docs/decisions/0032-a-transaction-enqueues-by-a-function.md.
--
-- A migration that changes one of them should keep its parameters (`create or replace`): a function with others is a new
-- one, on which the rights of applications have to be granted again. New options of a task belong into `settings`.

-- The first reason why a payload cannot be the params of a task, or null. A NUL and half of a surrogate pair fail in the
-- cast to jsonb.
create function fencepost.params_fault(params json) returns text
language sql immutable parallel safe
return case
    when params is null then null
    when json_typeof(params) <> 'object' then 'expected an object, got ' || json_typeof(params)
    -- As the body of a request by default (--max-body).
    when octet_length(params::text) > 1048576 then 'larger than 1 MiB'
    -- As in a body of at most 64 levels, of which two are around the params.
    when jsonb_path_exists(params::jsonb, 'strict $.**{62} ? (@.type() == "object" || @.type() == "array")')
        then 'nested more than 62 levels deep'
    when jsonb_path_exists(params::jsonb, 'strict $.** ? (@.type() == "number" && (@ >= 1.8e308 || @ <= -1.8e308))')
        then 'a number is too large'
end;

-- The first reason why an object cannot be the settings of a task (domain/task_overrides.py), or null.
create function fencepost.settings_fault(settings jsonb) returns text
language sql immutable parallel safe
return case
    when settings is null then null
    when jsonb_typeof(settings) <> 'object' then 'expected an object, got ' || jsonb_typeof(settings)
    else (
        select
            case
                when k.least is null then 'there is no setting ' || to_json(left(s.name, 100))
                else s.name || ' must be a whole number from ' || k.least || ' to ' || k.most
            end
        from jsonb_each(settings) as s (name, value)
        left join (
            values
                ('requestedToStartTimeout', 1, 316224000000), ('inProgressTimeout', 1, 316224000000),
                ('allowedRetryCount', 0, 1000000), ('retryDelay', 0, 316224000000),
                ('attemptTimeout', 1, 316224000000), ('expiresAfter', 1, 316224000000)
        ) as k (name, least, most) on k.name = s.name
        where
            case
                when k.least is null then true
                when s.value = 'null' then false
                when s.value::text !~ '^[0-9]{1,18}$' then true
                else s.value::text::bigint not between k.least and k.most
            end
        order by s.name
        limit 1
    )
end;

create function fencepost.enqueue_many(
    definition text,
    params json[],
    ids text[] default null,
    labels text[] default null,
    execute_at timestamptz default null,
    settings jsonb default null,
    unchecked boolean default false,
    notify boolean default false
) returns text[]
language plpgsql security definer
-- The names and operators of the caller's search path must not run with the rights of the owner.
set search_path to pg_catalog, pg_temp
as $$
declare
    made_at constant timestamptz := statement_timestamp();
    own_form constant text := '^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-800[0-2]-[0-9a-f]{12}$';
    -- Inside of this function, current_user is its owner.
    caller constant text := coalesce(nullif(current_setting('role'), 'none'), session_user);
    overrides constant jsonb := nullif(jsonb_strip_nulls(settings), '{}');
    size constant integer := coalesce(cardinality(params), 0);
    newest record;
    fault text;
    given text[];
    missed integer[];
    other record;
begin
    -- The lock that a change of the definition's limit waits for, and a delete: from here to the end of the transaction,
    -- the row that the next statements read is the newest.
    lock table fencepost.task_names in row exclusive mode;
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        -- The snapshot may be older than the lock. The row lock fails when the row has changed since then.
        perform from fencepost.definitions as d where d.name = enqueue_many.definition and d.is_newest for share;
    end if;
    select d.version, d.kind, d.document -> 'params' is not null as has_schema, d.concurrency_limit, d.concurrency_path
    into newest
    from fencepost.definitions as d
    where d.name = enqueue_many.definition and d.is_newest;

    if not found then
        raise exception 'there is no definition %', coalesce(to_json(left(definition, 100))::text, 'null')
            using errcode = 'undefined_object',
                hint = 'Declare it first: awf.definition/put, or `fencepost apply`.';
    elsif newest.kind <> 'task' then
        raise exception '% is the definition of a %', to_json(definition), newest.kind
            using errcode = 'wrong_object_type',
                hint = 'SQL enqueues tasks only. Start it with a call to a server, which the handler of a task can make.';
    elsif starts_with(definition, 'awf.') or starts_with(definition, 'aidbox.task/') then
        raise exception '% is built in', to_json(definition)
            using errcode = 'wrong_object_type',
                hint = 'Create it with awf.task/create-and-execute, which checks the rights of the caller.';
    elsif newest.has_schema and not coalesce(unchecked, false) then
        raise exception '% has a JSON Schema for its params, which SQL cannot check', to_json(definition)
            using errcode = 'object_not_in_prerequisite_state',
                hint = 'Check the params in the application and enqueue with unchecked => true.';
    elsif cardinality(ids) <> size or cardinality(labels) <> size then
        raise exception 'ids and labels must be as many as the params: %', size
            using errcode = 'invalid_parameter_value';
    elsif not isfinite(execute_at) or execute_at >= '10000-01-01 UTC' or execute_at < '0001-01-02 UTC' then
        raise exception 'execute_at must be in the years 1 to 9999' using errcode = 'invalid_parameter_value';
    end if;

    fault := fencepost.settings_fault(settings);
    if fault is not null then
        raise exception 'settings: %', fault using errcode = 'invalid_parameter_value';
    end if;
    select
        case
            when i.id !~ '^[A-Za-z0-9.-]{1,64}$' then 'an id has 1 to 64 letters, digits, "." or "-"'
            when length(i.label) > 1000 then 'a label has at most 1000 characters'
            else 'params: ' || fencepost.params_fault(i.params)
        end || case when size > 1 then ' (task ' || i.place || ')' else '' end
    into fault
    from rows from (unnest(params), unnest(ids), unnest(labels)) with ordinality as i (params, id, label, place)
    where i.id !~ '^[A-Za-z0-9.-]{1,64}$' or length(i.label) > 1000
        or json_typeof(i.params) <> 'null' and fencepost.params_fault(i.params) is not null
    order by i.place
    limit 1;
    if fault is not null then
        raise exception '%', fault using errcode = 'invalid_parameter_value';
    end if;

    with numbered as materialized (
        select i.place::integer as place, nextval('fencepost.task_seq') as seq, i.id as chosen, i.label,
            coalesce(i.id ~ own_form, false) as is_own, case when json_typeof(i.params) <> 'null' then i.params end as params
        from rows from (unnest(params), unnest(ids), unnest(labels)) with ordinality as i (params, id, label, place)
        order by i.place
    ),
    items as materialized (
        select n.*, coalesce(n.chosen, fencepost.own_id(0, n.seq)) as id from numbered as n
    ),
    named as (
        insert into fencepost.task_names (id, seq)
        select i.id, i.seq
        from items as i
        where i.chosen is not null and not i.is_own
        -- In one order in every transaction: two that enqueue the same ids would deadlock otherwise.
        order by i.id
        on conflict do nothing
        returning seq
    ),
    made as materialized (
        select i.* from items as i where i.chosen is null or i.seq in (select n.seq from named as n)
    ),
    -- As in sql/queries/tasks/create.sql; a test compares the rows.
    queued as (
        insert into fencepost.live_tasks
            (seq, id, definition, definition_version, label, params, requester, created_by, created_at, asked_execute_at,
             status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, limit_key, settings, expires_at)
        select
            m.seq, m.id, enqueue_many.definition, newest.version, m.label, m.params,
            json_build_object('resourceType', 'DatabaseRole', 'id', caller), 'role/' || caller, made_at,
            enqueue_many.execute_at, case when w.due_at is null then 'ready' else 'waiting' end, 1, 0,
            enqueue_many.execute_at, greatest(enqueue_many.execute_at, made_at), least(w.due_at, w.expires_at), made_at,
            case when newest.concurrency_limit is not null then fencepost.limit_key(m.params, newest.concurrency_path) end,
            overrides::json, w.expires_at
        from made as m
        cross join (
            select
                case when enqueue_many.execute_at > made_at then enqueue_many.execute_at end as due_at,
                made_at + fencepost.term(overrides::json, 'expiresAfter', null) as expires_at
        ) as w
    )
    select
        coalesce(array_agg(i.id order by i.place), '{}'),
        array_agg(i.place order by i.place) filter (where i.seq not in (select m.seq from made as m))
    into given, missed
    from items as i;

    -- The id of these is taken; a new statement sees the commit that the insert has waited for.
    for other in
        select i.id, t.seq is not null as exists, i.id ~ own_form as is_own,
            t.definition = enqueue_many.definition and t.label is not distinct from i.label
                and coalesce(t.params::jsonb, 'null') = coalesce(i.params::jsonb, 'null')
                and coalesce(t.settings::jsonb, '{}') = coalesce(overrides, '{}')
                and t.asked_execute_at is not distinct from enqueue_many.execute_at as is_same
        from unnest(missed) as m (place)
        cross join lateral (select given[m.place] as id, labels[m.place] as label, params[m.place] as params) as i
        cross join lateral (
            select
                case
                    when i.id ~ own_form then ('x' || right(i.id, 12))::bit(48)::bigint
                    else (select n.seq from fencepost.task_names as n where n.id = i.id)
                end as seq
        ) as s
        left join lateral (
            select l.seq, l.definition, l.label, l.params, l.settings, l.asked_execute_at
            from fencepost.live_tasks as l
            where l.seq = s.seq and l.id = i.id
            union all
            select d.seq, d.definition, d.label, d.params, d.settings, d.asked_execute_at
            from fencepost.done_tasks as d
            where d.seq = s.seq and d.id = i.id
            limit 1
        ) as t on true
    loop
        if other.is_same then
            continue;
        elsif other.exists then
            raise exception 'a task % with other content exists', to_json(other.id)
                using errcode = 'unique_violation', hint = 'Give a new id, or the same content again.';
        elsif other.is_own then
            raise exception '% is of the form that only the server gives out', to_json(other.id)
                using errcode = 'invalid_parameter_value';
        end if;
        raise exception 'a task % has ended and is not kept', to_json(other.id)
            using errcode = 'unique_violation', hint = 'Its id is free ten minutes after its end.';
    end loop;

    if notify and size > 0 and (execute_at is null or execute_at <= made_at) then
        -- At the commit. Postgres sends equal notifications of a transaction once, so the number is one for any size.
        perform pg_notify('fencepost', json_build_object(
            'from', 'sql', 'ready', json_build_object(definition, 1000), 'definitions', json_build_array())::text);
    end if;
    return given;
end
$$;

create function fencepost.enqueue_many(
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

create function fencepost.enqueue(
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

create function fencepost.enqueue(
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
create function fencepost.enqueue(
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

-- Managed databases may not let the migrating role create roles, so the owner chooses who may enqueue.
create function fencepost.grant_enqueue(to_role name) returns void
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

create function fencepost.revoke_enqueue(from_role name) returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
    signature text;
begin
    for signature in
        select p.oid::regprocedure
        from pg_proc as p
        where p.pronamespace = 'fencepost'::regnamespace and p.proname in ('enqueue', 'enqueue_many')
    loop
        execute format('revoke execute on function %s from %I', signature, from_role);
    end loop;
    execute format('revoke usage on schema fencepost from %I', from_role);
end
$$;

revoke execute on function
    fencepost.enqueue(text, json, text, text, timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue(text, jsonb, text, text, timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue(text, text, text, text, timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue_many(text, json[], text[], text[], timestamptz, jsonb, boolean, boolean),
    fencepost.enqueue_many(text, jsonb[], text[], text[], timestamptz, jsonb, boolean, boolean),
    fencepost.grant_enqueue(name),
    fencepost.revoke_enqueue(name)
from public;
