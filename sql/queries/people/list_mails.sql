-- List the mail messages of a people's task, page by page.
-- Takes:   seq bigint; after text, the message after which the page begins (null for the first page); size integer.
-- Returns: per link (mail_message).
-- Touches: nothing; reads people_mails.
select m.mail_message
from fencepost.people_mails as m
where m.task_seq = %(seq)s::bigint and (%(after)s::text is null or m.mail_message > %(after)s::text)
order by m.mail_message
limit %(size)s::integer
