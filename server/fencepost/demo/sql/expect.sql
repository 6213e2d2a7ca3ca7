-- Create a temporary table for the rows of the files.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: creates expected.
create temporary table expected (
    file integer not null,
    resource_type text not null,
    id text not null,
    resource jsonb not null
)
