-- Lease ready tasks to waiting polls.
-- Takes:   definitions text[]; seqs bigint[], the tasks under limits that limit_capacity.sql found in the same
--          transaction, else empty; asks json, in the order of arrival: [{ask, size, start, action, worker, caller,
--          request_id, request_hash, prefix, fields}]; most_bytes bigint; now. `prefix` is the random beginning of the
--          execIds, which end like the ids that the server makes (domain/ids.py). `fields` has a bit for each member
--          that the ask wants of a task (domain/polled.py), null for all.
-- Returns: per leased task `call` (the number of the ask that gets it), its resource row and lost_attempts. The result
--          ends with the task whose params exceed most_bytes. With `texts`, when all asks have `fields`: per ask with
--          tasks (call, text, number, size, due_in, has_lost): their JSON objects joined by commas, their number, the bytes
--          of their params, the seconds until the first deadline, and whether one has lost attempts.
-- Touches: live_tasks, poll_requests; reads definitions.
with asks as materialized (
    select a.*, row_number() over (order by a.ask desc) as from_last,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(asks)s::json) as a (
        ask integer, size integer, start boolean, action text, worker text, caller text,
        request_id text, request_hash text, prefix text, fields integer
    )
    -- A repeated poll gets the leases that it still holds (held_by_request.sql), and no others.
    where a.request_id is null or not exists (
        select
        from (
            select r.prefix, r.seqs
            from fencepost.poll_requests as r
            where r.caller = a.caller and r.request_id = a.request_id
            offset 0
        ) as r
        cross join unnest(r.seqs) as s (seq)
        cross join lateral (
            select l.exec_id from fencepost.live_tasks as l where l.seq = s.seq offset 0
        ) as l
        where left(l.exec_id::text, 18) = r.prefix
    )
),
wanted as materialized (
    select coalesce(sum(a.size), 0) as tasks from asks as a
),
shares as materialized (
    -- How many of the oldest tasks each definition has. Locking the full number for each definition would make other
    -- servers skip tasks that this claim does not take. A lateral probe reads the index in queue order and stops;
    -- `any(…)` would sort all ready tasks.
    select (%(definitions)s::text[])[1] as definition, (select w.tasks from wanted as w) as size
    where cardinality(%(definitions)s::text[]) = 1
    union all
    select o.definition, count(*)
    from (
        select r.definition
        from unnest(%(definitions)s::text[]) as w (definition)
        cross join lateral (
            select l.definition, l.ready_at, l.seq
            from fencepost.live_tasks as l
            where l.status = 'ready' and l.limit_key is null and l.definition = w.definition
            order by l.ready_at, l.seq limit (select w.tasks from wanted as w)
        ) as r
        where cardinality(%(definitions)s::text[]) > 1
        order by r.ready_at, r.seq limit (select w.tasks from wanted as w)
    ) as o group by o.definition
),
picked as materialized (
    -- SKIP LOCKED: do not wait for tasks that another server is claiming. Suspects have slots of their own (`shared`).
    select
        r.place, r.definition, r.definition_version, r.lost_attempts, r.bytes, row_number() over o as place_in_queue,
        case when r.lost_attempts > 0 then count(*) filter (where r.lost_attempts > 0) over o
            else count(*) filter (where r.lost_attempts = 0) over o end as slot,
        case when r.lost_attempts > 0 then sum(r.bytes) filter (where r.lost_attempts > 0) over o
            else sum(r.bytes) filter (where r.lost_attempts = 0) over o end - r.bytes as bytes_before
    from (
        select r.*
        from shares as s
        cross join lateral (
            select l.ctid as place, l.seq, l.ready_at, l.definition, l.definition_version, l.lost_attempts,
                coalesce(octet_length(l.params::text), 0) as bytes
            from fencepost.live_tasks as l
            where l.status = 'ready' and l.limit_key is null and l.definition = s.definition
                and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
            order by l.ready_at, l.seq limit s.size
            for update skip locked
        ) as r
        union all
        select r.*
        from unnest(%(seqs)s::bigint[]) as s (seq)
        cross join lateral (
            select l.ctid as place, l.seq, l.ready_at, l.definition, l.definition_version, l.lost_attempts,
                coalesce(octet_length(l.params::text), 0) as bytes
            from fencepost.live_tasks as l
            where l.seq = s.seq and l.status = 'ready'
                and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
            offset 0
            for update skip locked
        ) as r
    ) as r
    window o as (order by r.ready_at, r.seq rows unbounded preceding)
    order by r.ready_at, r.seq limit (select w.tasks from wanted as w)
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
    -- One row for each task that a poll can get, in the order in which the polls arrived. The update copies the rows of
    -- `picked` and of `slots` whole, so these have only what it needs.
    select
        a.places_before + n.number as slot, a.alone, a.ask, a.start, a.action, a.worker, a.caller, a.prefix, a.fields,
        a.now,
        -- The first slot of an ask stands for all: none is leased without it.
        case when n.number = 1 and a.request_id is not null
            then array[a.caller, a.request_id, a.request_hash, a.prefix] end as request
    from (
        select a.*, h.alone, h.places, sum(h.places) over (
            partition by h.alone order by a.ask rows unbounded preceding) - h.places as places_before
        from asks as a
        cross join lateral (
            select a.from_last <= h.alone as alone,
                case when a.from_last <= h.alone then 1 else least(a.size, h.others) end::integer as places
            from shared as h
        ) as h
    ) as a
    cross join lateral generate_series(1, a.places) as n (number)
    -- One subquery, which is joined by a hash: a join with `n` by itself would compare each task with each number.
    offset 0
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
    returning s.ask as call, s.slot, s.request, l.seq as task, p.bytes, l.deadline_at - l.updated_at as due_in,
        p.lost_attempts > 0 as is_lost,
        case when s.fields is not null then fencepost.polled_text(
            s.fields, l.id, l.exec_id, d.kind, l.definition, l.params, l.label, l.requester, l.retry_count,
            l.lost_attempts, l.settings, d.in_progress_timeout, d.attempt_timeout, d.allowed_retry_count, d.retry_delay
        ) end as text,
        l.*
),
remembered as (
    -- The row of an earlier poll is replaced: it holds no lease any more, or this poll would not be in the claim.
    insert into fencepost.poll_requests as r (caller, request_id, hash, prefix, seqs, claimed_at)
    select g.request[1], g.request[2], g.request[3], g.request[4], g.seqs,
        coalesce(%(now)s::timestamptz, statement_timestamp())
    from (select max(l.request) as request, array_agg(l.task) as seqs from leased as l group by l.call) as g
    where g.request is not null
    on conflict (caller, request_id) do update
    set hash = excluded.hash, prefix = excluded.prefix, seqs = excluded.seqs, claimed_at = excluded.claimed_at
),
texts as (
    select
        l.call, string_agg(l.text, ',' order by l.slot) as text, count(*)::integer as number,
        sum(l.bytes)::bigint as size, extract(epoch from min(l.due_in))::float8 as due_in,
        bool_or(l.is_lost) as has_lost
    from leased as l
    group by l.call
),
leases as (
    select
        l.call,
        l.id, l.definition, l.definition_version, l.status,
        l.label, l.params, l.requester, l.settings, l.created_at, l.version, l.exec_id, l.retry_count, l.execute_at,
        l.deadline_at, l.updated_at, l.worker, null as outcome, null as reason_type, null as reason_message,
        null as result, null as error, l.lost_attempts
    from leased as l
    order by l.slot
)
select *
from leases
