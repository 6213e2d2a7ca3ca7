-- Lease ready tasks to waiting polls when some of the definitions have a limit.
-- Takes:   seqs bigint[], the result of limit_capacity.sql; definitions, asks, most_bytes and now as in claim.sql.
-- Returns: as claim.sql.
-- Touches: live_tasks, poll_requests; reads definitions. Run after limit_capacity.sql in the same transaction.
with asks as materialized (
    select
        a.*, row_number() over (order by a.ask desc) as from_last,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(asks)s::json) as a (
        ask integer, size integer, start boolean, action text, worker text, caller text,
        request_id text, request_hash text, prefix text
    )
),
found as materialized (
    select r.*
    from unnest(%(seqs)s::bigint[]) as w (seq)
    cross join lateral (
        select l.ctid as place, l.seq, l.ready_at, l.definition, l.definition_version, l.lost_attempts,
            coalesce(octet_length(l.params::text), 0) as bytes
        from fencepost.live_tasks as l
        where l.seq = w.seq and l.status = 'ready'
            and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
        offset 0
        for update skip locked
    ) as r
    union all
    -- Tasks without a limit, as in claim.sql.
    select r.*
    from unnest(%(definitions)s::text[]) as w (definition)
    cross join lateral (
        select l.ctid as place, l.seq, l.ready_at, l.definition, l.definition_version, l.lost_attempts,
            coalesce(octet_length(l.params::text), 0) as bytes
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is null and l.definition = w.definition
            and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
        order by l.ready_at, l.seq
        limit (select sum(a.size) from asks as a)
        for update skip locked
    ) as r
),
picked as materialized (
    select
        f.*, row_number() over (order by f.ready_at, f.seq) as place_in_queue, row_number() over o as slot,
        sum(f.bytes) over (o rows unbounded preceding) - f.bytes as bytes_before
    from found as f
    window o as (partition by f.lost_attempts > 0 order by f.ready_at, f.seq)
    order by f.ready_at, f.seq
    limit (select sum(a.size) from asks as a)
),
shared as materialized (
    -- A suspect, a task whose last attempt was lost, is given alone: if it kills its worker, it takes no other along.
    select
        count(*) filter (where p.lost_attempts = 0) as others,
        fencepost.asks_alone(
            (select count(*) from asks), count(*) filter (where p.lost_attempts > 0),
            count(*) filter (where p.lost_attempts = 0), bool_or(p.lost_attempts > 0 and p.place_in_queue = 1)) as alone
    from picked as p
),
slots as (
    -- One row for each task that a poll can get, in the order in which the polls arrived.
    select row_number() over (partition by a.from_last <= h.alone order by a.ask) as slot,
        a.from_last <= h.alone as alone, a.*
    from shared as h
    cross join asks as a
    cross join lateral generate_series(1, case when a.from_last <= h.alone then 1 else least(a.size, h.others) end)
),
leased as (
    update fencepost.live_tasks as l
    set status = case when s.start then 'in-progress' else 'requested' end, version = l.version + 1,
        exec_id = fencepost.exec_id(s.prefix, l.workflow_seq, d.kind, l.seq),
        retry_count = l.retry_count + s.start::integer,
        deadline_at = fencepost.lease_end(
            s.now, s.start, l.settings, l.expires_at, d.in_progress_timeout, d.requested_to_start_timeout, d.attempt_timeout),
        attempt_ends_at = s.now + case when s.start then fencepost.term(l.settings, 'attemptTimeout', d.attempt_timeout) end,
        updated_at = s.now, worker = s.worker, held_by = s.caller,
        request_hash = fencepost.lease_entry(l.version + 1, s.action, l.status)
    from picked as p
    join slots as s on s.slot = p.slot and s.alone = (p.lost_attempts > 0)
    join fencepost.definitions as d on d.name = p.definition and d.version = p.definition_version
    where l.ctid = p.place and p.bytes_before < %(most_bytes)s::bigint -- Locked, so its ctid is still valid.
    returning s.ask as call, s.slot, s.request_id as request, s.request_hash as hash, s.prefix, l.*
),
remembered as (
    -- The row of an earlier poll is replaced: it holds no lease any more, or this poll would not be in the claim.
    insert into fencepost.poll_requests as r (caller, request_id, hash, prefix, seqs, claimed_at)
    select l.held_by, l.request, l.hash, l.prefix, array_agg(l.seq), min(l.updated_at)
    from leased as l
    where l.request is not null
    group by l.call, l.held_by, l.request, l.hash, l.prefix
    on conflict (caller, request_id) do update
    set hash = excluded.hash, prefix = excluded.prefix, seqs = excluded.seqs, claimed_at = excluded.claimed_at
)
select
    l.call,
    l.id, l.definition, l.definition_version, l.status,
    l.label, l.params, l.requester, l.settings, l.created_at, l.version, l.exec_id, l.retry_count, l.execute_at,
    l.deadline_at, l.updated_at, l.worker, null as outcome, null as reason_type, null as reason_message, null as result,
    null as error, l.lost_attempts
from leased as l
order by l.slot
