-- The JSON object of a leased task with the members that a poll wants, made in the claim.

-- A term of a task in milliseconds.
create function fencepost.milliseconds(settings json, name text, otherwise interval) returns bigint
language sql immutable parallel safe
return coalesce((settings ->> name)::bigint, (extract(epoch from otherwise) * 1000)::bigint);

-- `fields` has a bit for each member (server/fencepost/domain/polled.py); id and execId are always there. Ids and names
-- have no character that JSON escapes. A member without a value is left out.
create function fencepost.polled_text(
    fields integer, id text, exec_id uuid, kind text, definition text, params json, label text, requester json,
    retry_count integer, lost_attempts integer, settings json, in_progress_timeout interval, attempt_timeout interval,
    allowed_retry_count integer, retry_delay interval
) returns text
language sql stable parallel safe
return concat(
    '{"id":"', id, '","execId":"', exec_id, '"',
    case
        when fields & 1 > 0 then
            ',"definition":"' || case when kind = 'task' then definition else 'awf.workflow/decision-task' end || '"'
    end,
    case when fields & 2 > 0 and kind <> 'task' then ',"workflow-definition":"' || definition || '"' end,
    case when fields & 4 > 0 then ',"params":' || params::text end,
    case when fields & 8 > 0 then ',"label":' || to_json(label)::text end,
    case when fields & 16 > 0 then ',"requester":' || requester::text end,
    case when fields & 32 > 0 and retry_count > 0 then ',"retryCount":' || retry_count end,
    case when fields & 64 > 0 and lost_attempts > 0 then ',"lostAttempts":' || lost_attempts end,
    case
        when fields & 128 > 0 then
            ',"inProgressTimeout":' || fencepost.milliseconds(settings, 'inProgressTimeout', in_progress_timeout)
    end,
    case
        when fields & 256 > 0 then
            ',"attemptTimeout":' || fencepost.milliseconds(settings, 'attemptTimeout', attempt_timeout)
    end,
    case
        when fields & 512 > 0 then
            ',"allowedRetryCount":' || coalesce((settings ->> 'allowedRetryCount')::integer, allowed_retry_count)
    end,
    case
        when fields & 1024 > 0 then
            ',"retryDelay":' || fencepost.milliseconds(settings, 'retryDelay', retry_delay)
    end,
    '}'
);
