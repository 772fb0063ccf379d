-- The source's half of the reconciliation; consorcio.checksums and consorcio.versions of Aurora are the other. A
-- rowversion is new with every write of its row, so two tables are equal when their pairs (id, versao) are.
--
-- 1. Run both halves while nothing is written, or twice, and keep what differs both times:
--      sqlcmd -S sql01 -d ConsorcioDB -b -h -1 -W -s "," -v Table="" -v Bucket="" -i reconcile.sql | sort > source.csv
--      psql "$AURORA" -Atc "SELECT \"table\" || ',' || bucket || ',' || rows || ',' || checksum FROM consorcio.checksums" | sort > aurora.csv
--      diff source.csv aurora.csv
-- 2. For each bucket that differs, the rows of it, from both sides; diff names them:
--      sqlcmd … -v Table=Clientes -v Bucket=12 …
--      psql … "SELECT \"table\" || ',' || id || ',NULL,' || versao FROM consorcio.versions WHERE \"table\" = 'Clientes' AND bucket = '12'"
-- 3. 06-resnapshot.sql for these rows. A row that is only in Aurora was deleted at the source: look for its
--    delete in the dead letter queue and the parking queue.
SET NOCOUNT ON;
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;

WITH versions (tabela, bucket, id, versao) AS (
  SELECT 'Clientes', CAST(id / 10000 AS varchar(20)), CAST(id AS varchar(36)), CAST(versao AS varbinary(8)) FROM dbo.Clientes
  UNION ALL
  SELECT 'Pedidos', CAST(id / 10000 AS varchar(20)), CAST(id AS varchar(36)), CAST(versao AS varbinary(8)) FROM dbo.Pedidos
  UNION ALL
  SELECT 'Produtos', LEFT(CAST(id AS varchar(36)), 2), CAST(id AS varchar(36)), CAST(versao AS varbinary(8)) FROM dbo.Produtos
), numbers AS (
  -- Rowversions stay far below 2^63: the counter of a database starts at 2,000 and rises by one a write.
  SELECT tabela, bucket, id, CAST(CAST(versao AS bigint) AS decimal(38, 0)) AS versao FROM versions
)
SELECT tabela, IIF('$(Bucket)' = '', bucket, id), IIF('$(Bucket)' = '', COUNT_BIG(*), NULL), SUM(versao)
FROM numbers
WHERE '$(Bucket)' = '' OR (tabela = '$(Table)' AND bucket = '$(Bucket)')
GROUP BY tabela, IIF('$(Bucket)' = '', bucket, id)
ORDER BY 1, 2;
