-- Asks Debezium to read rows again while it goes on streaming: an incremental snapshot, of one table or of the rows that
-- reconcile.sql named. Its rows overwrite nothing that is newer, and notify nobody.
--   sqlcmd -S sql01 -d ConsorcioDB -b -v Table=Pedidos -v Condition="id BETWEEN 10000 AND 19999" -i 06-resnapshot.sql
SET NOCOUNT ON;
SET XACT_ABORT ON;

DECLARE @data varchar(2048) = '{"type": "incremental", "data-collections": ["' + DB_NAME() + '.dbo.$(Table)"], '
  + '"additional-conditions": [{"data-collection": "' + DB_NAME() + '.dbo.$(Table)", "filter": "' + STRING_ESCAPE('$(Condition)', 'json') + '"}]}';
INSERT dbo.debezium_signal (id, type, data) VALUES (CONVERT(varchar(36), NEWID()), 'execute-snapshot', @data);
