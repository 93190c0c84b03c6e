-- Enough rows of every kind that PostgreSQL plans as it would for a busy service. Run inside a transaction.
INSERT INTO thread SELECT 'thread_' || lpad(i::text, 24, '0'), 'default', 1700000000 + i / 3, '{}', '{}', 0, NULL FROM generate_series(1, 6000) i;
INSERT INTO thread_pair SELECT md5((i % 3)::text), 1700000000 + i / 3, 'thread_' || lpad(i::text, 24, '0') FROM generate_series(1, 6000) i;
INSERT INTO message SELECT 'msg_' || lpad(i::text, 24, '0'), 'default', 'thread_' || lpad((i % 3 + 1)::text, 24, '0'), i, i, 1700000000, 'user', 'completed', '[]', NULL, CASE WHEN i % 2 = 0 THEN 'run_' || lpad((i/4)::text, 24, '0') END, NULL, '{}', NULL, NULL, NULL FROM generate_series(1, 6000) i;
INSERT INTO run SELECT 'run_' || lpad(i::text, 24, '0'), 'default', 'thread_' || lpad((i % 3 + 1)::text, 24, '0'), 'asst_' || (i % 5), i, CASE i % 200 WHEN 0 THEN 'failed' WHEN 1 THEN 'expired' ELSE 'completed' END, false, 1700000000 + i / 3, NULL, '{}', '{}', '{}' FROM generate_series(1, 4000) i;
INSERT INTO run_step SELECT 'step_' || lpad(i::text, 24, '0'), 'default', 'thread_' || lpad((i % 3 + 1)::text, 24, '0'), 'run_' || lpad((i / 3 + 1)::text, 24, '0'), 'asst_1', i, i, CASE WHEN i % 2 = 0 THEN 'tool_calls' ELSE 'message_creation' END, 'completed', 1700000000, NULL, '[]', NULL, NULL, NULL, NULL, NULL, NULL FROM generate_series(1, 6000) i;
INSERT INTO run_event SELECT 'run_' || lpad((i / 20 + 1)::text, 24, '0'), i % 20, 1, 1, false, '[]' FROM generate_series(1, 6000) i;
INSERT INTO job SELECT 'run_' || lpad(i::text, 24, '0'), 'run', 'run_' || lpad(i::text, 24, '0'), 'default', 'default', 1, CASE WHEN i % 100 = 0 THEN 'ada' END, CASE WHEN i % 50 = 0 THEN i END, 0 FROM generate_series(1, 20000) i;
INSERT INTO assistant SELECT 'asst_' || lpad(i::text, 24, '0'), 'default', 1700000000 + i, CASE WHEN i % 400 = 0 THEN 'toml' ELSE 'api' END, NULL, NULL, 'demo', NULL, '[]', '{}', '{}', NULL, NULL, '{}', NULL, '{}', NULL FROM generate_series(1, 4000) i;
INSERT INTO file SELECT 'file-' || lpad(i::text, 24, '0'), 'default', 1700000000 + i, 'x', 1, CASE WHEN i % 100 = 0 THEN 'assistants' ELSE 'vision' END, md5(i::text), CASE WHEN i % 3 = 0 THEN 1900000000 + i END FROM generate_series(1, 4000) i;
INSERT INTO vector_store SELECT 'vs_' || lpad(i::text, 24, '0'), 'default', 1, 1, '', '{}', 7 FROM generate_series(1, 2000) i;
INSERT INTO vector_store_file SELECT 'vs_' || lpad(i::text, 24, '0'), 'file-' || lpad(i::text, 24, '0'), 'default', 1, 'completed', NULL FROM generate_series(1, 2000) i;
INSERT INTO webhook_delivery SELECT 'delivery_' || lpad(i::text, 24, '0'), 'default', 1700000000 + i, 'crm', 'evt_' || i, 'run.completed', 'run_' || (i / 2), '{}', CASE WHEN i % 100 = 0 THEN 'failed' WHEN i % 50 = 0 THEN 'pending' ELSE 'delivered' END, NULL, 1, NULL, CASE WHEN i % 100 != 50 THEN 1700000000 + i END, '[]' FROM generate_series(1, 20000) i;
UPDATE run SET ended_at = 1700000000 + position, events_gone_at = CASE WHEN position < 3000 THEN 1 END, schedule_id = CASE WHEN position % 2 = 0 THEN 'sched_' || position % 5 END;
UPDATE thread SET active_at = created_at;
UPDATE file SET kept_at = created_at;
UPDATE vector_store SET expires_at = 1 + 7 * 86400;
INSERT INTO schedule SELECT 'sched_' || lpad(i::text, 24, '0'), 'default', 1700000000 + i, CASE WHEN i % 400 = 0 THEN 'toml' ELSE 'api' END, NULL, '* * * * *', 'UTC', 'asst_1', 'Hi', 'new', NULL, NULL, 3600, true, '{}', 1700000000 + i FROM generate_series(1, 4000) i;
ANALYZE
