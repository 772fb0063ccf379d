-- The login that Debezium uses, with what it needs and nothing else. The password comes from the secret that
-- MSK Connect reads (docs/pipeline.md); it is not written down here.
--   sqlcmd -S sql01 -d ConsorcioDB -b -v DebeziumPassword="$PASSWORD" -i 03-login.sql
SET NOCOUNT ON;
SET XACT_ABORT ON;

DECLARE @password nvarchar(128) = N'$(DebeziumPassword)', @sql nvarchar(max);
SET @sql = CASE WHEN SUSER_ID(N'debezium') IS NULL THEN N'CREATE' ELSE N'ALTER' END
  + N' LOGIN debezium WITH PASSWORD = ' + QUOTENAME(@password, '''') + N';';
EXEC (@sql);
IF DATABASE_PRINCIPAL_ID(N'debezium') IS NULL
  CREATE USER debezium FOR LOGIN debezium;

ALTER ROLE cdc_reader ADD MEMBER debezium;
GRANT SELECT ON SCHEMA::cdc TO debezium;          -- direct mode reads the change tables and lsn_time_mapping themselves
GRANT SELECT ON dbo.Clientes TO debezium;         -- snapshots
GRANT SELECT ON dbo.Pedidos TO debezium;
GRANT SELECT ON dbo.Produtos TO debezium;
GRANT SELECT, INSERT ON dbo.debezium_signal TO debezium; -- incremental snapshots write their window's marks here
GRANT VIEW DATABASE STATE TO debezium;            -- sys.dm_cdc_log_scan_sessions, for the end of transactions
GO
USE master;
GRANT VIEW SERVER STATE TO debezium;              -- whether SQL Server Agent runs
GO
