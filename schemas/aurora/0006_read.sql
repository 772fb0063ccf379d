-- What applications read: rows that exist, without the bookkeeping.

CREATE OR REPLACE VIEW consorcio_api.clientes AS
SELECT id, nome, cpf_cnpj, email, telefone, sexo, tipo_pessoa, data_nascimento, renda_mensal, limite_pequeno, pontuacao, dependentes,
  score, peso_risco, ativo, aceita_marketing, observacoes, perfil_xml, horario_contato, ultimo_acesso, criado_em, nasc_exato,
  atualizado_em, guid_externo, versao, observacoes_claim, perfil_xml_claim, committed_at
FROM consorcio.clientes WHERE NOT deleted;

CREATE OR REPLACE VIEW consorcio_api.pedidos AS
SELECT id, numero, cliente_id, produto_id, status, valor, valor_entrada, desconto, taxa_mensal, parcelas, data_pedido, data_aprovacao,
  data_contemplacao, vencimento, cancelado_em, observacao, versao, observacao_claim, committed_at
FROM consorcio.pedidos WHERE NOT deleted;

CREATE OR REPLACE VIEW consorcio_api.produtos AS
SELECT id, codigo, nome, categoria, taxa_administracao, fundo_reserva, valor_bem, prazo_meses, grupo, disponivel, foto, hash_foto, miniatura,
  descricao, termos, abre_as, fecha_as, intervalo, vigencia_inicio, vigencia_fim, revisado_em, atributos, hierarquia, area, versao,
  foto_claim, miniatura_claim, descricao_claim, termos_claim, atributos_claim, committed_at
FROM consorcio.produtos WHERE NOT deleted;

CREATE OR REPLACE VIEW consorcio_api.totais_cliente AS
SELECT cliente_id, pedidos, pedidos_cancelados, valor_total, valor_entrada_total FROM consorcio.totais_cliente;

CREATE OR REPLACE VIEW consorcio_api.vendas_produto AS
SELECT produto_id, pedidos, valor_total FROM consorcio.vendas_produto;

-- The instalments of an order: what is left after the down payment, in equal parts of whole cents, the
-- last with the cents that remain. Computed whenever it is read, so it cannot differ from the order.
CREATE OR REPLACE VIEW consorcio_api.parcelas AS
SELECT p.id AS pedido_id, n AS parcela, p.parcelas AS de,
  CASE WHEN n < p.parcelas THEN trunc(p.saldo / p.parcelas, 2) ELSE p.saldo - trunc(p.saldo / p.parcelas, 2) * (p.parcelas - 1) END AS valor,
  (p.vencimento + make_interval(months => n::int - 1))::date AS vencimento
FROM (SELECT id, parcelas, vencimento, valor - coalesce(valor_entrada, 0) AS saldo FROM consorcio.pedidos
      WHERE NOT deleted AND status <> 'CANCELADO' AND parcelas BETWEEN 1 AND 1200) p,
  generate_series(1, p.parcelas) AS n;

-- What unique constraints and foreign keys would have refused, for people. Something may stand here
-- for a moment, while changes of different keys are under way; what stays is wrong at the source, or lost.
CREATE OR REPLACE VIEW consorcio.violations AS
SELECT 'clientes.cpf_cnpj twice' AS what, cpf_cnpj AS value, array_agg(id::text ORDER BY id) AS ids, max(applied_at) AS since
FROM consorcio.clientes WHERE NOT deleted GROUP BY cpf_cnpj HAVING count(*) > 1
UNION ALL
SELECT 'pedidos.cliente_id missing', cliente_id::text, array_agg(id::text ORDER BY id), max(applied_at)
FROM consorcio.pedidos p WHERE NOT deleted AND NOT EXISTS (SELECT FROM consorcio.clientes c WHERE c.id = p.cliente_id AND NOT c.deleted) GROUP BY cliente_id
UNION ALL
SELECT 'pedidos.produto_id missing', produto_id, array_agg(id::text ORDER BY id), max(applied_at)
FROM consorcio.pedidos p WHERE NOT deleted AND NOT EXISTS (SELECT FROM consorcio.produtos d WHERE d.id = p.produto_id AND NOT d.deleted) GROUP BY produto_id;

-- Rows with a column whose value was never carried (an update of a large column's row came, its insert
-- did not): an incremental snapshot of these rows fills them (docs/pipeline.md).
CREATE OR REPLACE VIEW consorcio.unknown_values AS
SELECT 'clientes' AS "table", id::text AS id FROM consorcio.clientes WHERE NOT deleted AND '' IN (observacoes_position, perfil_xml_position)
UNION ALL
SELECT 'pedidos', id::text FROM consorcio.pedidos WHERE NOT deleted AND observacao_position = ''
UNION ALL
SELECT 'produtos', id FROM consorcio.produtos WHERE NOT deleted
  AND '' IN (foto_position, miniatura_position, descricao_position, termos_position, atributos_position, hierarquia_position, area_position);

-- Reconciliation. SQL Server's rowversion is new with every write of a row, so a table equals its
-- source when the pairs (id, versao) do. checksums gives for each range of keys the number of rows and the
-- sum of their rowversions; configs/sqlserver/reconcile.sql gives the same of the source. Where a
-- range differs, versions names the rows of it. Buckets: id / 10000, of Produtos the first two characters.
CREATE OR REPLACE FUNCTION consorcio.rowversion_of(p_versao bytea) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT get_byte(p_versao, 0) * 72057594037927936::numeric + (('x' || right(encode(p_versao, 'hex'), 14))::bit(56)::bigint)
$$;
CREATE OR REPLACE VIEW consorcio.versions AS
SELECT 'Clientes' AS "table", (id / 10000)::text AS bucket, id::text AS id, consorcio.rowversion_of(versao) AS versao FROM consorcio.clientes WHERE NOT deleted
UNION ALL
SELECT 'Pedidos', (id / 10000)::text, id::text, consorcio.rowversion_of(versao) FROM consorcio.pedidos WHERE NOT deleted
UNION ALL
SELECT 'Produtos', left(id, 2), id, consorcio.rowversion_of(versao) FROM consorcio.produtos WHERE NOT deleted;
CREATE OR REPLACE VIEW consorcio.checksums AS
SELECT "table", bucket, count(*) AS rows, sum(versao) AS checksum FROM consorcio.versions GROUP BY "table", bucket;

-- purge removes what no delivery can need any more. p_age must be longer than the longest possible
-- redelivery: the retention of the topics, and the 14 days in which an execution can be redriven. A deleted row that is
-- removed earlier comes back when an older change of it is delivered again; so does a notification.
CREATE OR REPLACE FUNCTION consorcio.purge(p_age interval) RETURNS TABLE (what text, rows bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
  IF p_age < interval '14 days' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'an execution can be redriven for 14 days: keep rows at least so long';
  END IF;
  FOREACH what IN ARRAY ARRAY['clientes', 'pedidos', 'produtos'] LOOP
    EXECUTE format('DELETE FROM consorcio.%I WHERE deleted AND applied_at < now() - $1', what) USING p_age;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
  END LOOP;
  what := 'outbox';
  DELETE FROM consorcio.outbox WHERE published_at < now() - p_age;
  GET DIAGNOSTICS rows = ROW_COUNT;
  RETURN NEXT;
  what := 'rejections';
  DELETE FROM consorcio.rejections WHERE resolved_at < now() - p_age;
  GET DIAGNOSTICS rows = ROW_COUNT;
  RETURN NEXT;
  what := 'audit';
  DELETE FROM consorcio.audit WHERE at < now() - p_age;
  GET DIAGNOSTICS rows = ROW_COUNT;
  RETURN NEXT;
END $$;
