-- List the newest versions of named flows, with the time at which each was first declared.
-- Takes:   names text[], null for any; built_in text[], the names of built-in definitions, which are left out; after
--          text, the name after which the page begins (null for the first page); size integer.
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
