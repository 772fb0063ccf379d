-- Changes a table's shape without losing a change. A capture instance knows the columns that the table had when
-- the instance was made, and a table can have two: the second is made in the same transaction as the ALTER, so that no
-- change falls between, and the first goes when Debezium has read it to its end. Example: a column for Clientes.
--
-- Step 1, with Debezium running. Edit the ALTER, and the name of the instance.
--   sqlcmd -S sql01 -d ConsorcioDB -b -v Step=1 -v Table=Clientes -v Former=dbo_Clientes -v Fresh=dbo_Clientes_v2 -i 05-evolve-table.sql
-- Between: wait for Debezium's notification "Capture Instance COMPLETED" for the former instance on the topic
-- consorcio-notificacoes. Step 2, then:
--   sqlcmd … -v Step=2 …
--
-- What flows through without a restart of anything: a new nullable column (or one with a DEFAULT), a column that
-- becomes nullable, one that is dropped, one that is widened where Avro can promote it. The registry refuses the
-- rest (BACKWARD), and Debezium's task stops before it writes: a NOT NULL column without a DEFAULT, another type. Which
-- is which, and what the destination makes of it: README.md. The destination keeps columns that it does not know in `extra` until a migration adds them;
-- a column it requires must not be dropped before 0002_tables.sql and 0004_apply.sql no longer require it.
SET NOCOUNT ON;
SET XACT_ABORT ON;

IF $(Step) = 1
BEGIN
  IF (SELECT COUNT(*) FROM cdc.change_tables WHERE source_object_id = OBJECT_ID(N'dbo.$(Table)')) > 1
    THROW 50002, N'the table has two capture instances already: finish step 2 of the change before', 1;
  BEGIN TRANSACTION;
    -- No writer between the two: the lock is held until the end.
    DECLARE @n int = (SELECT COUNT(*) FROM (SELECT TOP (1) 1 AS x FROM dbo.$(Table) WITH (TABLOCKX, HOLDLOCK)) t);
    IF COL_LENGTH(N'dbo.Clientes', N'apelido') IS NULL
      ALTER TABLE dbo.Clientes ADD apelido nvarchar(80) NULL;
    EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'$(Table)', @role_name = N'cdc_reader',
      @capture_instance = N'$(Fresh)', @supports_net_changes = 0;
  COMMIT;
END;

IF $(Step) = 2
BEGIN
  IF NOT EXISTS (SELECT 1 FROM cdc.change_tables WHERE capture_instance = N'$(Fresh)')
    THROW 50003, N'step 1 has not been run: disabling the only instance would lose changes', 1;
  IF EXISTS (SELECT 1 FROM cdc.change_tables WHERE capture_instance = N'$(Former)')
    EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'$(Table)', @capture_instance = N'$(Former)';
END;
