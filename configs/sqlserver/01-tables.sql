-- The three tables, their shapes as the schemas in schemas/ have them. For a company that has them already:
-- compare, do not run. Applying it again changes nothing.
--   sqlcmd -S sql01 -d ConsorcioDB -b -i 01-tables.sql
SET NOCOUNT ON;
SET XACT_ABORT ON;

IF OBJECT_ID(N'dbo.Clientes') IS NULL
CREATE TABLE dbo.Clientes (
  id              bigint           NOT NULL CONSTRAINT PK_Clientes PRIMARY KEY,
  nome            nvarchar(200)    NOT NULL,
  cpf_cnpj        varchar(18)      NOT NULL,
  email           varchar(254)     NULL,
  telefone        char(13)         NULL,
  sexo            char(1)          NULL,
  tipo_pessoa     tinyint          NOT NULL CONSTRAINT DF_Clientes_tipo_pessoa DEFAULT 1,
  data_nascimento date             NULL,
  renda_mensal    money            NULL,
  limite_pequeno  smallmoney       NULL,
  pontuacao       smallint         NULL CONSTRAINT DF_Clientes_pontuacao DEFAULT 500,
  dependentes     int              NULL,
  score           float            NULL,
  peso_risco      real             NULL,
  ativo           bit              NOT NULL CONSTRAINT DF_Clientes_ativo DEFAULT 1,
  aceita_marketing bit             NULL,
  observacoes     nvarchar(max)    NULL,
  perfil_xml      xml              NULL,
  horario_contato time(3)          NULL,
  ultimo_acesso   datetime         NULL,
  criado_em       datetime2(7)     NOT NULL CONSTRAINT DF_Clientes_criado_em DEFAULT sysutcdatetime(),
  nasc_exato      datetime2(7)     NULL,
  atualizado_em   datetimeoffset(7) NULL,
  guid_externo    uniqueidentifier NOT NULL CONSTRAINT DF_Clientes_guid_externo DEFAULT newid(),
  versao          rowversion       NOT NULL
);

IF OBJECT_ID(N'dbo.Produtos') IS NULL
CREATE TABLE dbo.Produtos (
  id              uniqueidentifier NOT NULL CONSTRAINT PK_Produtos PRIMARY KEY,
  codigo          varchar(20)      NOT NULL,
  nome            nvarchar(200)    NOT NULL,
  categoria       nvarchar(50)     NULL CONSTRAINT DF_Produtos_categoria DEFAULT N'Imóvel',
  taxa_administracao decimal(9,6)  NOT NULL,
  fundo_reserva   decimal(5,2)     NULL,
  valor_bem       decimal(38,10)   NULL,
  prazo_meses     smallint         NULL,
  grupo           numeric(18,0)    NULL,
  disponivel      bit              NOT NULL CONSTRAINT DF_Produtos_disponivel DEFAULT 0,
  foto            varbinary(max)   NULL,
  hash_foto       binary(32)       NULL,
  miniatura       image            NULL,
  descricao       nvarchar(max)    NULL,
  termos          ntext            NULL,
  abre_as         time(7)          NULL,
  fecha_as        time(6)          NULL,
  intervalo       time(3)          NULL,
  vigencia_inicio smalldatetime    NULL,
  vigencia_fim    datetime2(0)     NULL,
  revisado_em     datetime2(6)     NULL,
  atributos       xml              NULL,
  hierarquia      hierarchyid      NULL,
  area            geography        NULL,
  versao          rowversion       NOT NULL
);

IF OBJECT_ID(N'dbo.Pedidos') IS NULL
CREATE TABLE dbo.Pedidos (
  id              int              NOT NULL CONSTRAINT PK_Pedidos PRIMARY KEY,
  numero          bigint           NOT NULL,
  cliente_id      bigint           NOT NULL,
  produto_id      uniqueidentifier NOT NULL,
  status          varchar(20)      NOT NULL CONSTRAINT DF_Pedidos_status DEFAULT 'PENDENTE',
  valor           decimal(18,2)    NOT NULL,
  valor_entrada   decimal(18,2)    NULL CONSTRAINT DF_Pedidos_valor_entrada DEFAULT 0,
  desconto        decimal(10,4)    NULL,
  taxa_mensal     decimal(9,6)     NULL,
  parcelas        int              NULL CONSTRAINT DF_Pedidos_parcelas DEFAULT 1,
  data_pedido     datetime         NOT NULL,
  data_aprovacao  datetime2(5)     NULL,
  data_contemplacao date           NULL,
  vencimento      smalldatetime    NULL,
  cancelado_em    datetimeoffset(7) NULL,
  observacao      nvarchar(max)    NULL,
  versao          rowversion       NOT NULL
);
