-- List the newest versions of flows that can be begun by name, with when each was declared first.
-- Takes:   names text[], null for any; built_in text[], the names that nobody has declared; after text, the name to go on
--          behind (null to begin); size integer.
-- Returns: per definition (name, document, created_at of its first version).
-- Touches: nothing; reads definitions.
select d.name, d.document, f.created_at
from fencepost.definitions as d
join fencepost.definitions as f on f.name = d.name and f.version = 1
where d.kind = 'taskflow' and d.is_newest
    and (%(names)s::text[] is null or d.name = any(%(names)s::text[]))
    and d.name <> all(%(built_in)s::text[])
    and (%(after)s::text is null or d.name > %(after)s::text)
order by d.name
limit %(size)s::integer
