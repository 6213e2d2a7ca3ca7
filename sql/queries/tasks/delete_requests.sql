-- Delete the requestIds of polls that hold no lease any more, among the next rows in the order of their key.
-- Takes:   age interval, how long ago the poll must have been answered; after_caller and after_request text, the key
--          after which to look; batch integer, how many rows to look at; now.
-- Returns: one row (caller, request_id), the key after which to go on; nulls when there are no more rows.
-- Touches: poll_requests; reads live_tasks.
with walked as materialized (
    select r.ctid as place, r.caller, r.request_id, r.prefix, r.seqs, r.claimed_at
    from fencepost.poll_requests as r
    where (r.caller, r.request_id) > (%(after_caller)s::text, %(after_request)s::text)
    order by r.caller, r.request_id
    limit %(batch)s::integer
),
over as materialized (
    select r.ctid as place
    from fencepost.poll_requests as r
    inner join walked as w on w.place = r.ctid
    -- The age excludes a row that a poll with the same requestId replaces meanwhile: this statement does not see its
    -- leases.
    where w.claimed_at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
        and not exists (
            select
            from unnest(w.seqs) as s (seq)
            cross join lateral (
                select l.exec_id from fencepost.live_tasks as l where l.seq = s.seq offset 0
            ) as l
            where left(l.exec_id::text, 18) = w.prefix
        )
    for update of r skip locked
),
gone as (
    delete from fencepost.poll_requests as r
    using over as o
    where r.ctid = o.place
)
select w.caller, w.request_id
from (select) as one
left join lateral (
    select w.caller, w.request_id
    from walked as w
    order by w.caller, w.request_id
    offset %(batch)s::integer - 1
) as w on true
