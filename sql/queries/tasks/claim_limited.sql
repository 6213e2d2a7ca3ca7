-- Lease ready tasks to the polls that wait for them, where some of the definitions have a limit.
-- Takes:   seqs bigint[], what free_places.sql found; definitions, asks and now as in claim.sql.
-- Returns: as claim.sql.
-- Touches: live_tasks, task_log; reads definitions. Run behind free_places.sql in the same transaction.
with asks as materialized (
    select a.*
    from json_to_recordset(%(asks)s::json) as a (
        ask integer, size integer, start boolean, action text, worker text, caller text,
        request_id text, request_hash text, prefix text
    )
),
found as materialized (
    select r.*
    from unnest(%(seqs)s::bigint[]) as w (seq)
    cross join lateral (
        select l.ctid as place, l.seq, l.ready_at, l.definition, l.definition_version
        from fencepost.live_tasks as l
        where l.seq = w.seq and l.status = 'ready'
            and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
        offset 0
        for update skip locked
    ) as r
    union all
    -- What has no limit, as in claim.sql.
    select r.*
    from unnest(%(definitions)s::text[]) as w (definition)
    cross join lateral (
        select l.ctid as place, l.seq, l.ready_at, l.definition, l.definition_version
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is null and l.definition = w.definition
            and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
        order by l.ready_at, l.seq
        limit (select sum(a.size) from asks as a)
        for update skip locked
    ) as r
),
picked as materialized (
    select f.*, row_number() over (order by f.ready_at, f.seq) as slot
    from found as f
    order by f.ready_at, f.seq
    limit (select sum(a.size) from asks as a)
),
slots as (
    -- One row a task that somebody gets, numbered in the order in which polls arrived.
    select row_number() over (order by a.ask) as slot, a.*
    from asks as a
    cross join lateral generate_series(1, least(a.size, (select count(*) from picked)))
),
leased as (
    update fencepost.live_tasks as l
    set status = case when s.start then 'in-progress' else 'requested' end,
        version = l.version + 1,
        exec_id = (
            s.prefix
            || case when l.workflow_seq is null then '-8000-' when d.kind = 'task' then '-8002-' else '-8001-' end
            || lpad(to_hex(l.seq), 12, '0')
        )::uuid,
        retry_count = l.retry_count + s.start::integer,
        deadline_at = fencepost.lease_end(
            coalesce(%(now)s::timestamptz, statement_timestamp()), s.start, l.settings, l.expires_at,
            d.in_progress_timeout, d.requested_to_start_timeout),
        attempt_ends_at = coalesce(%(now)s::timestamptz, statement_timestamp())
            + case when s.start then fencepost.term(l.settings, 'attemptTimeout', null) end,
        updated_at = coalesce(%(now)s::timestamptz, statement_timestamp()),
        worker = s.worker, held_by = s.caller, request_id = s.request_id, request_hash = s.request_hash
    from picked as p
    join slots as s on s.slot = p.slot
    join fencepost.definitions as d on d.name = p.definition and d.version = p.definition_version
    -- The rows are locked, so that they stay where they were found.
    where l.ctid = p.place
    returning s.ask as call, s.action, s.slot, l.*
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        l.seq, l.version, l.updated_at, l.action, l.held_by, l.worker, 'ready', l.status, l.exec_id, l.retry_count,
        l.execute_at, l.deadline_at
    from leased as l
)
select
    l.call,
    l.id, l.definition, l.definition_version, l.status,
    -- The rest of the resource.
    l.label, l.params, l.requester, l.settings, l.created_at,
    l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at,
    l.worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from leased as l
order by l.slot
