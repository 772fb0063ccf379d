-- Whether changes are being captured, in one result of rows: what, value, bad (1: somebody must act), remedy.
-- Debezium cannot tell: its heartbeats go on while the capture job stands still. Run it each minute from an Agent
-- job or a scheduled task and send `bad` to CloudWatch; docs/pipeline.md has the command.
--   sqlcmd -S sql01 -d ConsorcioDB -b -h -1 -W -s "|" -v MaxDowntimeMinutes=4320 -i 04-health.sql
SET NOCOUNT ON;

DECLARE @latency int, @scanned datetime, @retention bigint, @oldest datetime;
SELECT TOP (1) @latency = latency, @scanned = end_time FROM sys.dm_cdc_log_scan_sessions WHERE session_id <> 0 ORDER BY session_id DESC;
SELECT @retention = retention FROM msdb.dbo.cdc_jobs WHERE database_id = DB_ID() AND job_type = N'cleanup';
SELECT @oldest = MIN(sys.fn_cdc_map_lsn_to_time(start_lsn)) FROM cdc.change_tables;

SELECT what, value, bad, CASE WHEN bad = 1 THEN remedy ELSE '' END AS remedy FROM (
  SELECT 1, 'cdc enabled', CAST(is_cdc_enabled AS varchar(40)), IIF(is_cdc_enabled = 1, 0, 1), 'run 02-enable-cdc.sql; after a restore without KEEP_CDC raise the epoch too (docs/pipeline.md)'
  FROM sys.databases WHERE database_id = DB_ID()
  UNION ALL
  SELECT 2, 'SQL Server Agent', ISNULL(MAX(status_desc), 'absent'), IIF(MAX(status_desc) = 'Running', 0, 1), 'start the Agent, and set it to start by itself'
  FROM sys.dm_server_services WHERE servicename LIKE 'SQL Server Agent%'
  UNION ALL
  SELECT 3, 'capture job latency in s', ISNULL(CAST(@latency AS varchar(40)), 'never ran'), IIF(@latency < 60, 0, 1), 'look for a long transaction, or raise maxtrans and maxscans'
  UNION ALL
  SELECT 4, 'last scan of the log', ISNULL(CONVERT(varchar(40), @scanned, 126), 'never'), IIF(DATEDIFF(SECOND, @scanned, GETDATE()) < 120, 0, 1), 'the capture job stands still: EXEC sys.sp_cdc_start_job ''capture''; on a new primary of an availability group make the jobs first'
  UNION ALL
  SELECT 5, 'errors of the capture job in an hour', CAST(COUNT(*) AS varchar(40)), IIF(COUNT(*) = 0, 0, 1), 'SELECT * FROM sys.dm_cdc_errors'
  FROM sys.dm_cdc_errors WHERE entry_time > DATEADD(HOUR, -1, GETDATE())
  UNION ALL
  SELECT 6, 'capture instances of ' + t.name, CAST(COUNT(c.object_id) AS varchar(40)), IIF(COUNT(c.object_id) = 1, 0, 1), 'none: run 02-enable-cdc.sql; two: finish 05-evolve-table.sql'
  FROM (VALUES ('Clientes'), ('Pedidos'), ('Produtos'), ('debezium_signal')) t (name)
  LEFT JOIN cdc.change_tables c ON c.source_object_id = OBJECT_ID('dbo.' + t.name) GROUP BY t.name
  UNION ALL
  SELECT 7, 'columns of ' + t.name + ' that are not captured', CAST(COUNT(*) AS varchar(40)), IIF(COUNT(*) = 0, 0, 1), 'run 05-evolve-table.sql'
  FROM (VALUES ('Clientes'), ('Pedidos'), ('Produtos')) t (name)
  JOIN sys.columns s ON s.object_id = OBJECT_ID('dbo.' + t.name)
  WHERE NOT EXISTS (SELECT 1 FROM cdc.change_tables c JOIN cdc.captured_columns k ON k.object_id = c.object_id WHERE c.source_object_id = s.object_id AND k.column_name = s.name)
  GROUP BY t.name
  UNION ALL
  SELECT 8, 'retention in minutes', ISNULL(CAST(@retention AS varchar(40)), 'no cleanup job'), IIF(@retention > $(MaxDowntimeMinutes), 0, 1), 'EXEC sys.sp_cdc_change_job ''cleanup'', @retention = more than the longest downtime'
  UNION ALL
  SELECT 9, 'oldest change kept', ISNULL(CONVERT(varchar(40), @oldest, 126), 'none'), 0, ''
  UNION ALL
  SELECT 10, 'log waits for', log_reuse_wait_desc, IIF(log_reuse_wait_desc = 'REPLICATION', 1, 0), 'the log cannot be truncated before the capture job has read it: see the latency'
  FROM sys.databases WHERE database_id = DB_ID()
) h (n, what, value, bad, remedy)
ORDER BY n, what;
