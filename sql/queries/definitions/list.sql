-- List the newest version of every definition that somebody has declared, by name.
-- Takes:   built_in text[], the names that nobody has declared; after text, the name to go on behind (null to begin);
--          size integer.
-- Returns: per definition (name, version, kind, document, created_at).
-- Touches: nothing; reads definitions.
select d.name, d.version, d.kind, d.document, d.created_at
from fencepost.definitions as d
where d.is_newest
    and d.name <> all(%(built_in)s::text[])
    and (%(after)s::text is null or d.name > %(after)s::text)
order by d.name
limit %(size)s::integer
