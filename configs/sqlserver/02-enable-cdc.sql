-- Change data capture on the database and the three tables, and on the table that takes signals for Debezium.
-- Needs sysadmin, and SQL Server Agent running. Applying it again changes nothing but the jobs' settings.
--   sqlcmd -S sql01 -d ConsorcioDB -b -v RetentionMinutes=10080 -i 02-enable-cdc.sql
--
-- RetentionMinutes must be longer than the longest time that Debezium can be down: what the cleanup job has removed
-- is skipped without an error while the connector runs in direct mode. 10080 is 7 days (the default is 3).
SET NOCOUNT ON;
SET XACT_ABORT ON;

IF (SELECT is_cdc_enabled FROM sys.databases WHERE database_id = DB_ID()) = 0
  EXEC sys.sp_cdc_enable_db;

-- For snapshot.isolation.mode=snapshot: a consistent initial snapshot that blocks no writer.
IF (SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()) = 0
BEGIN
  DECLARE @alter nvarchar(300) = N'ALTER DATABASE ' + QUOTENAME(DB_NAME()) + N' SET ALLOW_SNAPSHOT_ISOLATION ON';
  EXEC (@alter);
END;

IF OBJECT_ID(N'dbo.debezium_signal') IS NULL
  CREATE TABLE dbo.debezium_signal (id varchar(42) NOT NULL CONSTRAINT PK_debezium_signal PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048) NULL);

IF DATABASE_PRINCIPAL_ID(N'cdc_reader') IS NULL
  CREATE ROLE cdc_reader;

DECLARE @table sysname, @instance sysname;
DECLARE tables CURSOR LOCAL FAST_FORWARD FOR SELECT name FROM (VALUES (N'Clientes'), (N'Pedidos'), (N'Produtos'), (N'debezium_signal')) t (name);
OPEN tables;
FETCH NEXT FROM tables INTO @table;
WHILE @@FETCH_STATUS = 0
BEGIN
  SET @instance = N'dbo_' + @table;
  -- A table of two instances is in the middle of 05-evolve-table.sql: it has one, so it is left alone.
  IF NOT EXISTS (SELECT 1 FROM cdc.change_tables WHERE source_object_id = OBJECT_ID(N'dbo.' + QUOTENAME(@table)))
    EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = @table, @role_name = N'cdc_reader',
      @capture_instance = @instance, @supports_net_changes = 0;
  FETCH NEXT FROM tables INTO @table;
END;
CLOSE tables;
DEALLOCATE tables;

-- The capture job reads the log each second, not each 5. 5,000 transactions in each of 10 scans keep up with bulk changes.
EXEC sys.sp_cdc_change_job @job_type = N'capture', @pollinginterval = 1, @maxtrans = 5000, @maxscans = 10;
EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = $(RetentionMinutes);

-- The capture job reads its settings when it starts. It stops of itself a moment after the call, and cannot be started before.
EXEC sys.sp_cdc_stop_job @job_type = N'capture';
DECLARE @tries int = 0, @started bit = 0;
WHILE @started = 0 AND @tries < 30
BEGIN
  WAITFOR DELAY '00:00:01';
  BEGIN TRY
    EXEC sys.sp_cdc_start_job @job_type = N'capture';
    SET @started = 1;
  END TRY
  BEGIN CATCH
    SET @tries += 1;
  END CATCH;
END;
IF @started = 0
  THROW 50001, N'the capture job did not start within 30 s: start it in SQL Server Agent, then run 04-health.sql', 1;
