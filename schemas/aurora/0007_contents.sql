-- Contents: rows as texts that SQL Server writes in the same way (configs/sqlserver/reconcile-contents.sql), and their checksums. For what
-- rowversions cannot show: a value that differs under the same version.
--
-- A text is the row's columns in the order of the source's table, separated by U+001F: ~ is NULL, = stands before a value.
--   integers, bit            decimal digits; 0 and 1
--   decimal, money           plain, with as many digits behind the point as the source declares
--   float, real              their 8 and 4 bytes, big-endian, in hexadecimal digits: no digit can be lost by printing
--   texts, uniqueidentifier  as they are (char padded, GUIDs in capitals)
--   date                     2025-03-14
--   datetime, smalldatetime  2025-03-14 10:07:21.537
--   datetime2(0 to 6)        2025-03-14 10:07:21.537000; datetime2(7) with seven digits
--   time(0 to 6)             10:07:21.537000; time(7) with seven digits
--   datetimeoffset           2025-03-14 10:07:21.5370000 -03:00
--   binary of any kind       the SHA-256 of its bytes, in capital hexadecimal digits
-- The checksum of a row is the first 8 bytes, big-endian and signed, of the SHA-256 of its text in UTF-16LE, which is what HASHBYTES takes of
-- an nvarchar; that of a range is their sum. A column that was too large for an input (_claim) is NULL here, so its row always differs.

-- utf16le gives a text's bytes as SQL Server holds them.
CREATE OR REPLACE FUNCTION consorcio.utf16le(p_text text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT coalesce(string_agg(CASE WHEN c < 65536 THEN set_byte(set_byte('\x0000', 0, c & 255), 1, c >> 8)
    ELSE set_byte(set_byte(set_byte(set_byte('\x00000000', 0, ((c - 65536) >> 10) & 255), 1, 216 + ((c - 65536) >> 18)),
      2, (c - 65536) & 255), 3, 220 + (((c - 65536) >> 8) & 3)) END, '' ORDER BY n), '')
  FROM (SELECT ascii(ch) AS c, n FROM string_to_table(p_text, NULL) WITH ORDINALITY t (ch, n)) s
$$;

-- decimal_text writes a decimal with p_scale digits behind the point, or with all that it has if they are more: nothing is rounded.
CREATE OR REPLACE FUNCTION consorcio.decimal_text(p_value numeric, p_scale int) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT CASE WHEN min_scale(p_value) <= p_scale THEN round(p_value, p_scale) ELSE trim_scale(p_value) END::text
$$;

-- offset_text writes a datetimeoffset as SQL Server does (style 121).
CREATE OR REPLACE FUNCTION consorcio.offset_text(p_value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT m[1] || ' ' || m[2] || coalesce(m[3], ':00') || '.' || rpad(coalesce(ltrim(m[4], '.'), ''), 7, '0') || ' ' || CASE m[5] WHEN 'Z' THEN '+00:00' ELSE m[5] END
  FROM regexp_match(p_value, '^(.{10})T(..:..)(:..)?([.][0-9]+)?(Z|[+-].*)$') AS m
$$;

CREATE OR REPLACE FUNCTION consorcio.content_checksum(p_text text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT ('x' || encode(substr(sha256(consorcio.utf16le(p_text)), 1, 8), 'hex'))::bit(64)::bigint
$$;

CREATE OR REPLACE VIEW consorcio.contents AS
SELECT 'Clientes' AS "table", (id / 10000)::text AS bucket, id::text AS id, concat_ws(U&'\001F',
  coalesce('=' || id::text, '~'),
  coalesce('=' || nome, '~'),
  coalesce('=' || cpf_cnpj, '~'),
  coalesce('=' || email, '~'),
  coalesce('=' || telefone, '~'),
  coalesce('=' || sexo, '~'),
  coalesce('=' || tipo_pessoa::text, '~'),
  coalesce('=' || to_char(data_nascimento, 'YYYY-MM-DD'), '~'),
  coalesce('=' || consorcio.decimal_text(renda_mensal, 4), '~'),
  coalesce('=' || consorcio.decimal_text(limite_pequeno, 4), '~'),
  coalesce('=' || pontuacao::text, '~'),
  coalesce('=' || dependentes::text, '~'),
  coalesce('=' || upper(encode(float8send(score), 'hex')), '~'),
  coalesce('=' || upper(encode(float4send(peso_risco::real), 'hex')), '~'),
  coalesce('=' || ativo::int::text, '~'),
  coalesce('=' || aceita_marketing::int::text, '~'),
  coalesce('=' || observacoes, '~'),
  coalesce('=' || perfil_xml, '~'),
  coalesce('=' || to_char(horario_contato, 'HH24:MI:SS.US'), '~'),
  coalesce('=' || to_char(ultimo_acesso, 'YYYY-MM-DD HH24:MI:SS.MS'), '~'),
  coalesce('=' || replace(criado_em, 'T', ' '), '~'),
  coalesce('=' || replace(nasc_exato, 'T', ' '), '~'),
  coalesce('=' || consorcio.offset_text(atualizado_em), '~'),
  coalesce('=' || guid_externo, '~'),
  coalesce('=' || upper(encode(sha256(versao), 'hex')), '~')) AS content
FROM consorcio.clientes WHERE NOT deleted
UNION ALL
SELECT 'Pedidos' AS "table", (id / 10000)::text AS bucket, id::text AS id, concat_ws(U&'\001F',
  coalesce('=' || id::text, '~'),
  coalesce('=' || numero::text, '~'),
  coalesce('=' || cliente_id::text, '~'),
  coalesce('=' || produto_id, '~'),
  coalesce('=' || status, '~'),
  coalesce('=' || consorcio.decimal_text(valor, 2), '~'),
  coalesce('=' || consorcio.decimal_text(valor_entrada, 2), '~'),
  coalesce('=' || consorcio.decimal_text(desconto, 4), '~'),
  coalesce('=' || consorcio.decimal_text(taxa_mensal, 6), '~'),
  coalesce('=' || parcelas::text, '~'),
  coalesce('=' || to_char(data_pedido, 'YYYY-MM-DD HH24:MI:SS.MS'), '~'),
  coalesce('=' || to_char(data_aprovacao, 'YYYY-MM-DD HH24:MI:SS.US'), '~'),
  coalesce('=' || to_char(data_contemplacao, 'YYYY-MM-DD'), '~'),
  coalesce('=' || to_char(vencimento, 'YYYY-MM-DD HH24:MI:SS.MS'), '~'),
  coalesce('=' || consorcio.offset_text(cancelado_em), '~'),
  coalesce('=' || observacao, '~'),
  coalesce('=' || upper(encode(sha256(versao), 'hex')), '~')) AS content
FROM consorcio.pedidos WHERE NOT deleted
UNION ALL
SELECT 'Produtos' AS "table", left(id, 2) AS bucket, id::text AS id, concat_ws(U&'\001F',
  coalesce('=' || id, '~'),
  coalesce('=' || codigo, '~'),
  coalesce('=' || nome, '~'),
  coalesce('=' || categoria, '~'),
  coalesce('=' || consorcio.decimal_text(taxa_administracao, 6), '~'),
  coalesce('=' || consorcio.decimal_text(fundo_reserva, 2), '~'),
  coalesce('=' || consorcio.decimal_text(valor_bem, 10), '~'),
  coalesce('=' || prazo_meses::text, '~'),
  coalesce('=' || consorcio.decimal_text(grupo, 0), '~'),
  coalesce('=' || disponivel::int::text, '~'),
  coalesce('=' || upper(encode(sha256(foto), 'hex')), '~'),
  coalesce('=' || upper(encode(sha256(hash_foto), 'hex')), '~'),
  coalesce('=' || upper(encode(sha256(miniatura), 'hex')), '~'),
  coalesce('=' || descricao, '~'),
  coalesce('=' || termos, '~'),
  coalesce('=' || abre_as, '~'),
  coalesce('=' || to_char(fecha_as, 'HH24:MI:SS.US'), '~'),
  coalesce('=' || to_char(intervalo, 'HH24:MI:SS.US'), '~'),
  coalesce('=' || to_char(vigencia_inicio, 'YYYY-MM-DD HH24:MI:SS.MS'), '~'),
  coalesce('=' || to_char(vigencia_fim, 'YYYY-MM-DD HH24:MI:SS.US'), '~'),
  coalesce('=' || to_char(revisado_em, 'YYYY-MM-DD HH24:MI:SS.US'), '~'),
  coalesce('=' || atributos, '~'),
  coalesce('=' || upper(encode(sha256(hierarquia), 'hex')), '~'),
  coalesce('=' || upper(encode(sha256(area), 'hex')), '~'),
  coalesce('=' || upper(encode(sha256(versao), 'hex')), '~')) AS content
FROM consorcio.produtos WHERE NOT deleted;

CREATE OR REPLACE VIEW consorcio.content_checksums AS
SELECT "table", bucket, count(*) AS rows, sum(consorcio.content_checksum(content)) AS checksum FROM consorcio.contents GROUP BY "table", bucket;
