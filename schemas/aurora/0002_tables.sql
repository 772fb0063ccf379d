-- The tables of the three domains.
--
-- Types are wider than the source's, so that a column that is widened there flows on without a
-- migration here: integers are bigint, decimals numeric without a limit (the scale as it was sent),
-- real and float double precision, text text. Times of up to six digits have PostgreSQL's types.
--
-- Only primary keys are enforced. Changes of different keys have no order among each other, so a
-- foreign key or another unique constraint would refuse changes that are right: two clients that
-- swap CPFs would block each other for ever. consorcio.violations shows what such constraints would.
--
-- Of every row:
--   epoch, commit_lsn, kafka_offset   position of the change that the row shows; newer wins
--   deleted                           deletes are soft: a deleted row must outlive every redelivery
--   extra                             columns that the source sent and this table does not have (yet)
--   committed_at                      commit in the source; applied_at: write here
-- Of every column that the source can leave out of an update ((n)varchar(max), varbinary(max), xml …):
--   <column>_position                 position of the change that set it, '' while none did: then the
--                                     value is not known, which is not the same as null
--   <column>_claim                    where the value is, when it was too large for an input
--                                     ({"bucket", "key", "sha256", "bytes"}); the column is then null

CREATE TABLE IF NOT EXISTS consorcio.clientes (
  id bigint PRIMARY KEY,
  nome text,
  cpf_cnpj text,
  email text,
  telefone text,
  sexo text,
  tipo_pessoa bigint,
  data_nascimento date,
  renda_mensal numeric,
  limite_pequeno numeric,
  pontuacao bigint,
  dependentes bigint,
  score double precision,
  peso_risco double precision,
  ativo boolean,
  aceita_marketing boolean,
  observacoes text,
  perfil_xml text,
  horario_contato time,
  ultimo_acesso timestamp,
  criado_em consorcio.datetime2_7,
  nasc_exato consorcio.datetime2_7,
  atualizado_em consorcio.datetimeoffset_7,
  guid_externo text,
  versao bytea,
  observacoes_position text COLLATE "C" NOT NULL DEFAULT '',
  observacoes_claim jsonb,
  perfil_xml_position text COLLATE "C" NOT NULL DEFAULT '',
  perfil_xml_claim jsonb,
  extra jsonb NOT NULL DEFAULT '{}',
  epoch bigint NOT NULL,
  commit_lsn text COLLATE "C" NOT NULL,
  kafka_offset bigint NOT NULL,
  deleted boolean NOT NULL,
  committed_at timestamptz,
  applied_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT clientes_required CHECK (deleted OR (nome IS NOT NULL AND cpf_cnpj IS NOT NULL AND tipo_pessoa IS NOT NULL AND ativo IS NOT NULL AND criado_em IS NOT NULL AND guid_externo IS NOT NULL AND versao IS NOT NULL))
);

CREATE TABLE IF NOT EXISTS consorcio.pedidos (
  id bigint PRIMARY KEY,
  numero bigint,
  cliente_id bigint,
  produto_id text,
  status text,
  valor numeric,
  valor_entrada numeric,
  desconto numeric,
  taxa_mensal numeric,
  parcelas bigint,
  data_pedido timestamp,
  data_aprovacao timestamp,
  data_contemplacao date,
  vencimento timestamp,
  cancelado_em consorcio.datetimeoffset_7,
  observacao text,
  versao bytea,
  observacao_position text COLLATE "C" NOT NULL DEFAULT '',
  observacao_claim jsonb,
  extra jsonb NOT NULL DEFAULT '{}',
  epoch bigint NOT NULL,
  commit_lsn text COLLATE "C" NOT NULL,
  kafka_offset bigint NOT NULL,
  deleted boolean NOT NULL,
  committed_at timestamptz,
  applied_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pedidos_required CHECK (deleted OR (numero IS NOT NULL AND cliente_id IS NOT NULL AND produto_id IS NOT NULL AND status IS NOT NULL AND valor IS NOT NULL AND data_pedido IS NOT NULL AND versao IS NOT NULL))
);

CREATE TABLE IF NOT EXISTS consorcio.produtos (
  id text COLLATE "C" PRIMARY KEY,
  codigo text,
  nome text,
  categoria text,
  taxa_administracao numeric,
  fundo_reserva numeric,
  valor_bem numeric,
  prazo_meses bigint,
  grupo numeric,
  disponivel boolean,
  foto bytea,
  hash_foto bytea,
  miniatura bytea,
  descricao text,
  termos text,
  abre_as consorcio.time_7,
  fecha_as time,
  intervalo time,
  vigencia_inicio timestamp,
  vigencia_fim timestamp,
  revisado_em timestamp,
  atributos text,
  hierarquia bytea,
  area bytea,
  versao bytea,
  foto_position text COLLATE "C" NOT NULL DEFAULT '',
  foto_claim jsonb,
  miniatura_position text COLLATE "C" NOT NULL DEFAULT '',
  miniatura_claim jsonb,
  descricao_position text COLLATE "C" NOT NULL DEFAULT '',
  descricao_claim jsonb,
  termos_position text COLLATE "C" NOT NULL DEFAULT '',
  termos_claim jsonb,
  atributos_position text COLLATE "C" NOT NULL DEFAULT '',
  atributos_claim jsonb,
  hierarquia_position text COLLATE "C" NOT NULL DEFAULT '',
  hierarquia_claim jsonb,
  area_position text COLLATE "C" NOT NULL DEFAULT '',
  area_claim jsonb,
  extra jsonb NOT NULL DEFAULT '{}',
  epoch bigint NOT NULL,
  commit_lsn text COLLATE "C" NOT NULL,
  kafka_offset bigint NOT NULL,
  deleted boolean NOT NULL,
  committed_at timestamptz,
  applied_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT produtos_required CHECK (deleted OR (codigo IS NOT NULL AND nome IS NOT NULL AND taxa_administracao IS NOT NULL AND disponivel IS NOT NULL AND versao IS NOT NULL))
);

CREATE INDEX IF NOT EXISTS clientes_cpf_cnpj ON consorcio.clientes (cpf_cnpj) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS clientes_guid_externo ON consorcio.clientes (guid_externo) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS pedidos_cliente ON consorcio.pedidos (cliente_id) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS pedidos_produto ON consorcio.pedidos (produto_id) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS pedidos_numero ON consorcio.pedidos (numero) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS produtos_codigo ON consorcio.produtos (codigo) WHERE NOT deleted;
CREATE INDEX IF NOT EXISTS clientes_deleted ON consorcio.clientes (applied_at) WHERE deleted;
CREATE INDEX IF NOT EXISTS pedidos_deleted ON consorcio.pedidos (applied_at) WHERE deleted;
CREATE INDEX IF NOT EXISTS produtos_deleted ON consorcio.produtos (applied_at) WHERE deleted;

-- What the orders of a client, and of a product, come to. Recomputed from the orders whenever one
-- of them changes (0005), never incremented: what is applied twice counts once.
CREATE TABLE IF NOT EXISTS consorcio.totais_cliente (
  cliente_id bigint PRIMARY KEY,
  pedidos bigint NOT NULL,
  pedidos_cancelados bigint NOT NULL,
  valor_total numeric NOT NULL,
  valor_entrada_total numeric NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS consorcio.vendas_produto (
  produto_id text COLLATE "C" PRIMARY KEY,
  pedidos bigint NOT NULL,
  valor_total numeric NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);

-- Notifications, written with the change that causes them and published afterwards. id is the
-- identity of the change in the source, so a change that comes again finds its row.
CREATE TABLE IF NOT EXISTS consorcio.outbox (
  id text COLLATE "C" PRIMARY KEY,
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  domain text NOT NULL,
  detail_type text NOT NULL,
  detail text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  taken_at timestamptz,
  attempts int NOT NULL DEFAULT 0,
  published_at timestamptz
);
CREATE INDEX IF NOT EXISTS outbox_unpublished ON consorcio.outbox (sequence) WHERE published_at IS NULL;

-- Changes that could not be applied, as they came: text, since jsonb cannot hold every JSON text
-- (\u0000). resolved_at is set when the same change is applied after all.
CREATE TABLE IF NOT EXISTS consorcio.rejections (
  topic text NOT NULL,
  partition int NOT NULL,
  kafka_offset bigint NOT NULL,
  domain text NOT NULL,
  error text NOT NULL,
  cause text NOT NULL,
  change text NOT NULL,
  times int NOT NULL DEFAULT 1,
  rejected_at timestamptz NOT NULL DEFAULT now(),
  resolved_at timestamptz,
  PRIMARY KEY (topic, partition, kafka_offset)
);
CREATE INDEX IF NOT EXISTS rejections_open ON consorcio.rejections (domain, rejected_at) WHERE resolved_at IS NULL;

-- One row for each statement that applied a batch: when, from where, with which result. No data.
CREATE TABLE IF NOT EXISTS consorcio.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  by_role text NOT NULL DEFAULT session_user,
  domain text NOT NULL,
  topic text,
  partition int,
  first_offset bigint,
  last_offset bigint,
  changes int NOT NULL,
  keys int NOT NULL,
  applied int NOT NULL,
  stale int NOT NULL,
  refused int NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_offsets ON consorcio.audit (topic, partition, first_offset);

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['clientes', 'pedidos', 'produtos', 'totais_cliente', 'vendas_produto', 'outbox', 'rejections', 'audit'] LOOP
    EXECUTE format('ALTER TABLE consorcio.%I OWNER TO consorcio_owner', t);
    EXECUTE format('REVOKE ALL ON consorcio.%I FROM PUBLIC', t);
  END LOOP;
END $$;
