package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// comparison says how the columns of a table are written as text on both sides, so that equal values are equal text.
type comparison struct {
	source, destination string
	columns             string            // in the order of the source, with blanks between
	exprs               map[string]string // of the source, where its text is not that of the destination
	destinationExprs    map[string]string
	defaults            map[string]string // columns in which the converter cannot carry NULL, with what it sends instead
}

const (
	datetime2_7 = `to_char(%s, 'YYYY-MM-DD"T"HH24:MI:SS.US') || '0'`
	time7       = `to_char(%s::interval, 'HH24:MI:SS.US') || '0'`
	instant     = `to_char(%s::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')`
	padded      = `rpad(%s::text, 13)`
)

// comparisons of the three tables. Apicurio's converter has the option ignore.default.for.nullables commented out (Confluent's has it, and
// the shipped configuration sets it): a NULL in a nullable column with a DEFAULT arrives as the default.
var comparisons = []comparison{
	{
		source: `dbo."Clientes"`, destination: "consorcio.clientes",
		columns: "id nome cpf_cnpj email telefone sexo tipo_pessoa data_nascimento renda_mensal limite_pequeno pontuacao dependentes score peso_risco ativo aceita_marketing " +
			"observacoes perfil_xml horario_contato ultimo_acesso criado_em nasc_exato atualizado_em guid_externo versao",
		exprs:            map[string]string{"telefone": padded, "criado_em": datetime2_7, "nasc_exato": datetime2_7, "atualizado_em": instant},
		destinationExprs: map[string]string{"atualizado_em": instant},
		defaults:         map[string]string{"pontuacao": "500"},
	},
	{
		source: `dbo."Pedidos"`, destination: "consorcio.pedidos",
		columns: "id numero cliente_id produto_id status valor valor_entrada desconto taxa_mensal parcelas data_pedido data_aprovacao data_contemplacao vencimento " +
			"cancelado_em observacao versao",
		exprs:            map[string]string{"cancelado_em": instant},
		destinationExprs: map[string]string{"cancelado_em": instant},
		defaults:         map[string]string{"valor_entrada": "0.00", "parcelas": "1"},
	},
	{
		source: `dbo."Produtos"`, destination: "consorcio.produtos",
		columns: "id codigo nome categoria taxa_administracao fundo_reserva valor_bem prazo_meses grupo disponivel foto hash_foto miniatura descricao termos " +
			"abre_as fecha_as intervalo vigencia_inicio vigencia_fim revisado_em atributos hierarquia area versao",
		exprs:    map[string]string{"abre_as": time7},
		defaults: map[string]string{"categoria": "'Imóvel'"},
	},
}

// select writes the query of one side: the key, then all columns as text, ordered by the key.
func (c *comparison) query(table, where string, exprs, defaults map[string]string) string {
	var columns []string
	for _, name := range strings.Fields(c.columns) {
		expr := name + "::text"
		if e, ok := exprs[name]; ok {
			expr = strings.ReplaceAll(e, "%s", name)
		}
		if d, ok := defaults[name]; ok {
			expr = fmt.Sprintf("coalesce(%s, %s::text)", expr, d)
		}
		columns = append(columns, expr)
	}
	return fmt.Sprintf(`SELECT ARRAY[%s] FROM %s WHERE %s ORDER BY id::text COLLATE "C"`, strings.Join(columns, ", "), table, where)
}

// differences compares every row and every column of both sides. It describes the first few rows that differ.
func (c *comparison) differences(ctx context.Context, source, destination *pgx.Conn) (compared, different int, described []string, err error) {
	a, err := texts(ctx, source, c.query(c.source, "true", c.exprs, c.defaults))
	if err != nil {
		return 0, 0, nil, fmt.Errorf("%s: %w", c.source, err)
	}
	b, err := texts(ctx, destination, c.query(c.destination, "NOT deleted", c.destinationExprs, nil))
	if err != nil {
		return 0, 0, nil, fmt.Errorf("%s: %w", c.destination, err)
	}
	names := strings.Fields(c.columns)
	differ := func(id, what string) {
		different++
		if len(described) < 10 {
			described = append(described, fmt.Sprintf("%s %s: %s", c.source, id, what))
		}
	}
	for len(a) > 0 || len(b) > 0 {
		compared++
		switch {
		case len(b) == 0 || len(a) > 0 && *a[0][0] < *b[0][0]:
			differ(*a[0][0], "is missing in "+c.destination)
			a = a[1:]
		case len(a) == 0 || *b[0][0] < *a[0][0]:
			differ(*b[0][0], "is in "+c.destination+" and not in the source")
			b = b[1:]
		default:
			var columns []string
			for i, name := range names {
				if !equal(a[0][i], b[0][i]) {
					columns = append(columns, fmt.Sprintf("%s is %s, in the source %s", name, quoted(b[0][i]), quoted(a[0][i])))
				}
			}
			if len(columns) > 0 {
				differ(*a[0][0], strings.Join(columns, "; "))
			}
			a, b = a[1:], b[1:]
		}
	}
	return compared, different, described, nil
}

func texts(ctx context.Context, db *pgx.Conn, sql string) ([][]*string, error) {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]*string])
}

func equal(a, b *string) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func quoted(s *string) string {
	if s == nil {
		return "NULL"
	}
	if len(*s) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", (*s)[:60], len(*s))
	}
	return fmt.Sprintf("%q", *s)
}

// versions is what the reconciliation of docs/pipeline.md compares: rows and the sum of their rowversions, of each table.
const (
	sourceVersions = `SELECT coalesce(string_agg(t || ' ' || n || ' ' || v, ', ' ORDER BY t), '') FROM (
		SELECT 'Clientes' AS t, count(*) AS n, sum(('x' || encode(versao, 'hex'))::bit(64)::bigint) AS v FROM dbo."Clientes" UNION ALL
		SELECT 'Pedidos', count(*), sum(('x' || encode(versao, 'hex'))::bit(64)::bigint) FROM dbo."Pedidos" UNION ALL
		SELECT 'Produtos', count(*), sum(('x' || encode(versao, 'hex'))::bit(64)::bigint) FROM dbo."Produtos") s WHERE n > 0`
	destinationVersions = `SELECT coalesce(string_agg(t || ' ' || n || ' ' || v, ', ' ORDER BY t), '') FROM (
		SELECT "table" AS t, sum(rows) AS n, sum(checksum) AS v FROM consorcio.checksums GROUP BY 1) s`
)
