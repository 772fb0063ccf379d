-- The tables of configs/sqlserver/01-tables.sql on PostgreSQL, which stands where SQL Server would be: the same columns,
-- with the type that comes nearest. What SQL Server can hold and PostgreSQL cannot: a seventh digit of a second, the offset of a
-- datetimeoffset, text with NUL. A rowversion is what a trigger writes.
CREATE SCHEMA dbo;
CREATE SEQUENCE dbo.rowversion START 2000;

CREATE TABLE dbo."Clientes" (
  id              bigint        PRIMARY KEY,
  nome            varchar(200)  NOT NULL,
  cpf_cnpj        varchar(18)   NOT NULL,
  email           varchar(254),
  telefone        char(13),
  sexo            char(1),
  tipo_pessoa     smallint      NOT NULL DEFAULT 1,
  data_nascimento date,
  renda_mensal    numeric(19,4),
  limite_pequeno  numeric(10,4),
  pontuacao       smallint      DEFAULT 500,
  dependentes     int,
  score           float8,
  peso_risco      real,
  ativo           boolean       NOT NULL DEFAULT true,
  aceita_marketing boolean,
  observacoes     text,
  perfil_xml      xml,
  horario_contato time(3),
  ultimo_acesso   timestamp(3),
  criado_em       timestamp(6)  NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
  nasc_exato      timestamp(6),
  atualizado_em   timestamptz(6),
  guid_externo    uuid          NOT NULL DEFAULT gen_random_uuid(),
  versao          bytea         NOT NULL
);

CREATE TABLE dbo."Produtos" (
  id              uuid          PRIMARY KEY,
  codigo          varchar(20)   NOT NULL,
  nome            varchar(200)  NOT NULL,
  categoria       varchar(50)   DEFAULT 'Imóvel',
  taxa_administracao numeric(9,6) NOT NULL,
  fundo_reserva   numeric(5,2),
  valor_bem       numeric(38,10),
  prazo_meses     smallint,
  grupo           numeric(18,0),
  disponivel      boolean       NOT NULL DEFAULT false,
  foto            bytea,
  hash_foto       bytea,
  miniatura       bytea,
  descricao       text,
  termos          text,
  abre_as         time(6),
  fecha_as        time(6),
  intervalo       time(3),
  vigencia_inicio timestamp(0),
  vigencia_fim    timestamp(0),
  revisado_em     timestamp(6),
  atributos       xml,
  hierarquia      bytea,
  area            bytea,
  versao          bytea         NOT NULL
);

CREATE TABLE dbo."Pedidos" (
  id              int           PRIMARY KEY,
  numero          bigint        NOT NULL,
  cliente_id      bigint        NOT NULL,
  produto_id      uuid          NOT NULL,
  status          varchar(20)   NOT NULL DEFAULT 'PENDENTE',
  valor           numeric(18,2) NOT NULL,
  valor_entrada   numeric(18,2) DEFAULT 0,
  desconto        numeric(10,4),
  taxa_mensal     numeric(9,6),
  parcelas        int           DEFAULT 1,
  data_pedido     timestamp(3)  NOT NULL,
  data_aprovacao  timestamp(5),
  data_contemplacao date,
  vencimento      timestamp(0),
  cancelado_em    timestamptz(6),
  observacao      text,
  versao          bytea         NOT NULL
);

CREATE FUNCTION dbo.new_rowversion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.versao := int8send(nextval('dbo.rowversion'));
  RETURN NEW;
END $$;
CREATE TRIGGER versao BEFORE INSERT OR UPDATE ON dbo."Clientes" FOR EACH ROW EXECUTE FUNCTION dbo.new_rowversion();
CREATE TRIGGER versao BEFORE INSERT OR UPDATE ON dbo."Produtos" FOR EACH ROW EXECUTE FUNCTION dbo.new_rowversion();
CREATE TRIGGER versao BEFORE INSERT OR UPDATE ON dbo."Pedidos" FOR EACH ROW EXECUTE FUNCTION dbo.new_rowversion();

-- Orders show the row before each change, as SQL Server's CDC does. The tables with large columns do not, so that updates come without
-- the large columns that they leave alone (Debezium fills them from the row before where there is one).
ALTER TABLE dbo."Pedidos" REPLICA IDENTITY FULL;

-- Values stay out of line as soon as they can, so that small rows show it, too.
ALTER TABLE dbo."Clientes" ALTER observacoes SET STORAGE EXTERNAL;
ALTER TABLE dbo."Produtos" ALTER foto SET STORAGE EXTERNAL, ALTER descricao SET STORAGE EXTERNAL;

CREATE PUBLICATION consorcio FOR TABLE dbo."Clientes", dbo."Produtos", dbo."Pedidos";
