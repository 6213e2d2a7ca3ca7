-- What readers of history need: a list by the time of the last change, and a search in what a payload says.

-- An insert goes to the last page of it, since tasks end in the order of time.
create index done_tasks_updated on fencepost.done_tasks ((coalesce(cancel_delivered_at, done_at)), seq);

create index done_workflows_updated on fencepost.done_workflows (done_at, seq);

-- The text that a payload means: one word, though a client escaped it (`\u00fc`, `\/`). A backslash that is meant waits
-- as a control character, which no JSON text holds, until all escapes are gone.
create function fencepost.unescaped(payload text) returns text
language sql immutable strict parallel safe
return replace(
    unistr(
        replace(replace(replace(replace(replace(replace(replace(replace(
            payload, '\\', chr(1)), '\"', '"'), '\/', '/'), '\n', chr(10)), '\t', chr(9)), '\r', chr(13)), '\b', chr(8)),
            '\f', chr(12))
    ),
    chr(1), '\');

-- Postgres writes this into the statement, so that a payload without escapes is not copied.
create function fencepost.says(payload json, pattern text) returns boolean
language sql immutable parallel safe
return case
    when payload is null then false
    when strpos(payload::text, '\') = 0 then payload::text ilike pattern
    else fencepost.unescaped(payload::text) ilike pattern
end;
