-- Link a mail message to a people's task; a repeated link changes nothing.
-- Takes:   seq bigint; mail_message.
-- Returns: nothing.
-- Touches: people_mails. Run after save_fields.sql.
insert into fencepost.people_mails (task_seq, mail_message)
values (%(seq)s::bigint, %(mail_message)s::text)
on conflict (task_seq, mail_message) do nothing
