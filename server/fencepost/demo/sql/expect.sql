-- Make a table, for this connection only, of what the files say.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: creates expected.
create temporary table expected (
    file integer not null,
    resource_type text not null,
    id text not null,
    resource jsonb not null
)
