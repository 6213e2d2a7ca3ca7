-- Delete the oldest receipts that no longer count. Run in a transaction with delete_log.sql and delete_names.sql.
-- Takes:   age interval, for how long a receipt counts; batch integer; now.
-- Returns: per deleted receipt (seqs, names, created_at, at).
-- Touches: receipts.
with oldest as materialized (
    -- In the order of their numbers, nearly that of their times: the walk ends at receipts that still count, and looks
    -- at no more than `batch` of them.
    select r.number, r.at
    from fencepost.receipts as r
    order by r.number
    limit %(batch)s::integer
    for update skip locked
)
delete from fencepost.receipts as r
using oldest as o
where r.number = o.number
    and o.at <= coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
returning r.seqs, r.names, r.created_at, r.at
