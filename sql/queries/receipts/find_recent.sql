-- Find the receipts of tasks among the newest ones, for callers that know no execId.
-- Takes:   ids text[]; seqs bigint[], as in tasks/find_ended.sql; age interval, for how long a receipt counts; newest
--          integer, how many receipts are searched; now.
-- Returns: per found task (place, definition, definition_version, action, outcome, at, is_same), `place` in ids from 0;
--          is_same is always null.
-- Touches: nothing; reads receipts, task_names.
with asked as materialized (
    select
        (a.place - 1)::integer as place,
        coalesce(a.seq, (select n.seq from fencepost.task_names as n where n.id = a.id)) as seq
    from unnest(%(ids)s::text[], %(seqs)s::bigint[]) with ordinality as a (id, seq, place)
),
recent as (
    -- In the order of their numbers, nearly that of their times: there is no index by task.
    select r.number, r.definition, r.definition_version, r.action, r.outcome, r.seqs, r.at
    from fencepost.receipts as r
    order by r.number desc
    limit %(newest)s::integer
),
matching as materialized (
    select r.*
    from recent as r
    where r.at > coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
        and r.seqs && (select array_agg(a.seq) from asked as a where a.seq is not null)
)
select distinct on (a.place)
    a.place, m.definition, m.definition_version, m.action, m.outcome, m.at, null::boolean as is_same
from asked as a
join matching as m on a.seq = any(m.seqs)
order by a.place, m.number desc
