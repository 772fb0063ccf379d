-- The source's half of a comparison of all columns; consorcio.contents and consorcio.content_checksums of Aurora are the other, and
-- schemas/aurora/0007_contents.sql says how each type is written. Never run: no SQL Server was at hand.
--
-- 1. Run both halves while nothing is written, or twice, and keep what differs both times:
--      sqlcmd -S sql01 -d ConsorcioDB -b -h -1 -W -s "," -v Table="" -v Bucket="" -i reconcile-contents.sql | sort > source.csv
--      psql -Atc "SELECT \"table\" || ',' || bucket || ',' || rows || ',' || checksum FROM consorcio.content_checksums" | sort > aurora.csv
--      diff source.csv aurora.csv
-- 2. For each range that differs, its rows; diff names them:
--      sqlcmd ... -v Table=Clientes -v Bucket=12 ... | sort > source.csv
--      psql -Atc "SELECT \"table\" || ',' || id || ',NULL,' || consorcio.content_checksum(content) FROM consorcio.contents WHERE \"table\" = 'Clientes' AND bucket = '12'" | sort > aurora.csv
-- 3. 06-resnapshot.sql for these rows; its Condition names them, as in "id IN (120001, 120007)".
SET NOCOUNT ON;
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;

WITH contents (tabela, bucket, id, content) AS (
  SELECT 'Clientes', CAST(id / 10000 AS varchar(20)), CAST(id AS varchar(36)), CONCAT(CAST(N'' AS nvarchar(max)),
    COALESCE(N'=' + CAST(id AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(nome AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(cpf_cnpj AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(email AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(telefone AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(sexo AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(tipo_pessoa AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(10), data_nascimento, 23), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(60), renda_mensal, 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(60), limite_pequeno, 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(pontuacao AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(dependentes AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(16), CAST(score AS binary(8)), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(8), CAST(peso_risco AS binary(4)), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(ativo AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(aceita_marketing AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(observacoes AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(perfil_xml AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(CAST(horario_contato AS time(6)) AS nvarchar(15)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(23), CAST(ultimo_acesso AS datetime), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(27), criado_em, 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(27), nasc_exato, 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(34), atualizado_em, 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(guid_externo AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(versao AS varbinary(max))), 2), N'~'))
  FROM dbo.Clientes
  UNION ALL
  SELECT 'Pedidos', CAST(id / 10000 AS varchar(20)), CAST(id AS varchar(36)), CONCAT(CAST(N'' AS nvarchar(max)),
    COALESCE(N'=' + CAST(id AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(numero AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(cliente_id AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(produto_id AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(status AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(valor AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(valor_entrada AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(desconto AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(taxa_mensal AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(parcelas AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(23), CAST(data_pedido AS datetime), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(26), CAST(data_aprovacao AS datetime2(6)), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(10), data_contemplacao, 23), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(23), CAST(vencimento AS datetime), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(34), cancelado_em, 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(observacao AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(versao AS varbinary(max))), 2), N'~'))
  FROM dbo.Pedidos
  UNION ALL
  SELECT 'Produtos', LEFT(CAST(id AS varchar(36)), 2), CAST(id AS varchar(36)), CONCAT(CAST(N'' AS nvarchar(max)),
    COALESCE(N'=' + CAST(id AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(codigo AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(nome AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(categoria AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(taxa_administracao AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(fundo_reserva AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(valor_bem AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(prazo_meses AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(grupo AS nvarchar(60)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(disponivel AS nvarchar(20)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(foto AS varbinary(max))), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(hash_foto AS varbinary(max))), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(miniatura AS varbinary(max))), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(descricao AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(termos AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(abre_as AS nvarchar(16)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(CAST(fecha_as AS time(6)) AS nvarchar(15)), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(CAST(intervalo AS time(6)) AS nvarchar(15)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(23), CAST(vigencia_inicio AS datetime), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(26), CAST(vigencia_fim AS datetime2(6)), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(26), CAST(revisado_em AS datetime2(6)), 121), N'~'), NCHAR(31),
    COALESCE(N'=' + CAST(atributos AS nvarchar(max)), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(hierarquia AS varbinary(max))), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(area AS varbinary(max))), 2), N'~'), NCHAR(31),
    COALESCE(N'=' + CONVERT(nvarchar(64), HASHBYTES('SHA2_256', CAST(versao AS varbinary(max))), 2), N'~'))
  FROM dbo.Produtos
), sums (tabela, bucket, id, checksum) AS (
  SELECT tabela, bucket, id, CAST(CAST(CAST(SUBSTRING(HASHBYTES('SHA2_256', content), 1, 8) AS binary(8)) AS bigint) AS decimal(38, 0)) FROM contents
)
SELECT tabela, IIF('$(Bucket)' = '', bucket, id), IIF('$(Bucket)' = '', COUNT_BIG(*), NULL), SUM(checksum)
FROM sums
WHERE '$(Bucket)' = '' OR (tabela = '$(Table)' AND bucket = '$(Bucket)')
GROUP BY tabela, IIF('$(Bucket)' = '', bucket, id)
ORDER BY 1, 2;
