-- Delete the requestIds of polls that hold no lease any more, a batch at a time.
-- Takes:   age interval, how long ago the poll must have been answered; batch integer; now.
-- Returns: one row (count), how many were deleted.
-- Touches: poll_requests; reads live_tasks.
with over as materialized (
    select r.ctid as place
    from fencepost.poll_requests as r
    -- The age excludes a row that a poll with the same requestId replaces meanwhile: this statement does not see its
    -- leases.
    where r.claimed_at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
        and not exists (
            select
            from unnest(r.seqs) as s (seq)
            cross join lateral (
                select l.exec_id from fencepost.live_tasks as l where l.seq = s.seq offset 0
            ) as l
            where left(l.exec_id::text, 18) = r.prefix
        )
    limit %(batch)s::integer
    for update skip locked
),
gone as (
    delete from fencepost.poll_requests as r
    using over as o
    where r.ctid = o.place
    returning r.caller
)
select count(*)::integer as count
from gone
