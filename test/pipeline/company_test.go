package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// company changes the source's tables, and keeps account of what it did.
type company struct {
	db  *pgx.Conn
	rng *rand.Rand

	clientes, pedidos []int // ids of the rows there are
	produtos          []string
	wrong             []int // clients whose CPF has wrong check digits
	last              int   // the last number that was given to a client or an order

	changes int            // of rows, in all
	news    map[change]int // changes that must be notified, how often each
	refused map[int]int    // changes of a client that must be refused
	letters int            // refusals that stepconnect learnt of
}

// change is what happened to a row.
type change struct{ domain, operation, id string }

func newCompany(db *pgx.Conn, seed uint64) *company {
	return &company{db: db, rng: rand.New(rand.NewPCG(seed, 7)), news: map[change]int{}, refused: map[int]int{}}
}

// found makes the rows that are there before Debezium comes: it reads them as a snapshot, which notifies nobody.
func (c *company) found(ctx context.Context, rows int) error {
	for range rows {
		for _, act := range []func(context.Context, pgx.Tx) error{c.newCliente, c.newProduto, c.newPedido} {
			if err := pgx.BeginFunc(ctx, c.db, func(tx pgx.Tx) error { return act(ctx, tx) }); err != nil {
				return err
			}
		}
	}
	clear(c.news)
	c.changes = 0
	return nil
}

// act is something that the company does in one transaction, and how often it does it in comparison.
type act struct {
	weight int
	name   string
	do     func(context.Context, pgx.Tx) error
}

func (c *company) acts() []act {
	return []act{
		{10, "new client", c.newCliente}, {14, "client changes", c.changeCliente}, {3, "client goes", c.removeCliente}, {3, "client gets another key", c.rekeyCliente},
		{2, "two clients swap CPFs", c.swapCPFs}, {1, "new client with a wrong CPF", c.newWrongCliente},
		{6, "new product", c.newProduto}, {8, "product changes", c.changeProduto}, {2, "product goes", c.removeProduto}, {2, "product gets another key", c.rekeyProduto},
		{16, "new order", c.newPedido}, {14, "order changes", c.changePedido}, {4, "order goes", c.removePedido}, {3, "order gets another key", c.rekeyPedido},
		{1, "order gets another key twice", c.rekeyPedidoTwice}, {2, "order goes and comes again", c.remakePedido}, {4, "order, and then its client", c.newPedidoAndCliente},
		{2, "order changes three times", c.changePedidoThrice},
	}
}

// transact does one transaction of a random kind.
func (c *company) transact(ctx context.Context) error {
	all := c.acts()
	sum := 0
	for _, a := range all {
		sum += a.weight
	}
	n := c.rng.IntN(sum)
	for _, a := range all {
		if n -= a.weight; n < 0 {
			if err := pgx.BeginFunc(ctx, c.db, func(tx pgx.Tx) error { return a.do(ctx, tx) }); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			return nil
		}
	}
	return nil
}

// repair gives the clients with wrong CPFs right ones, as people do who read consorcio.rejections. It writes the large column, too: what
// was refused has never shown it to the destination.
func (c *company) repair(ctx context.Context) error {
	for _, id := range c.wrong {
		_, err := c.db.Exec(ctx, `UPDATE dbo."Clientes" SET cpf_cnpj = $2, observacoes = observacoes || ' (corrigido)' WHERE id = $1`, id, c.cpf())
		if err != nil {
			return err
		}
		c.changes++
	}
	c.wrong = nil
	return nil
}

// did counts a change that must be notified.
func (c *company) did(domain, operation string, id any) {
	c.changes++
	if domain != "clientes" {
		c.news[change{domain, operation, fmt.Sprint(id)}]++
	}
}

func (c *company) newCliente(ctx context.Context, tx pgx.Tx) error {
	c.last++
	return c.insertCliente(ctx, tx, c.last, c.cpf())
}

func (c *company) newWrongCliente(ctx context.Context, tx pgx.Tx) error {
	c.last++
	cpf := []byte(c.cpf())
	cpf[10] = '0' + (cpf[10]-'0'+1)%10
	c.wrong = append(c.wrong, c.last)
	c.refused[c.last]++
	return c.insertCliente(ctx, tx, c.last, string(cpf))
}

func (c *company) insertCliente(ctx context.Context, tx pgx.Tx, id int, cpf string) error {
	at := c.moment()
	_, err := tx.Exec(ctx, `INSERT INTO dbo."Clientes" (id, nome, cpf_cnpj, email, telefone, sexo, tipo_pessoa, data_nascimento, renda_mensal, limite_pequeno, pontuacao, dependentes,
		score, peso_risco, ativo, aceita_marketing, observacoes, perfil_xml, horario_contato, ultimo_acesso, criado_em, nasc_exato, atualizado_em)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, $10::text::numeric, $11, $12, $13, $14, $15, $16, $17, $18::text::xml, $19::text::time, $20, $21, $22, $23)`,
		id, pick(c.rng, "José da Silva", "Conceição 😀 Araújo", "O'Neill & Söhne", "山田太郎", `barra \ "aspas"`), cpf,
		maybe(c.rng, fmt.Sprintf("cliente%d@exemplo.com.br", id)), maybe(c.rng, "+551199"+fmt.Sprint(c.rng.IntN(100000))), maybe(c.rng, pick(c.rng, "M", "F")), 1+c.rng.IntN(2),
		maybe(c.rng, at.Truncate(24*time.Hour)), maybe(c.rng, c.decimal(15, 4)), maybe(c.rng, c.decimal(6, 4)), maybe(c.rng, c.rng.IntN(1000)), maybe(c.rng, c.rng.IntN(9)),
		maybe(c.rng, c.rng.NormFloat64()*1e6), maybe(c.rng, c.rng.Float32()), c.rng.IntN(2) == 0, maybe(c.rng, c.rng.IntN(2) == 0), maybe(c.rng, c.text()),
		maybe(c.rng, "<perfil nivel=\"7\"><obs>é</obs></perfil>"), maybe(c.rng, at.Format("15:04:05.000")), maybe(c.rng, at.Truncate(time.Millisecond)), at, maybe(c.rng, at), maybe(c.rng, at))
	if err == nil {
		c.did("clientes", "insert", id)
		if !slices.Contains(c.wrong, id) {
			c.clientes = append(c.clientes, id)
		}
	}
	return err
}

// changeCliente leaves the large columns alone, most of the time: then Debezium does not carry them.
func (c *company) changeCliente(ctx context.Context, tx pgx.Tx) error {
	id := c.clientes[c.rng.IntN(len(c.clientes))]
	sql, value := `UPDATE dbo."Clientes" SET renda_mensal = $2::text::numeric, atualizado_em = $3 WHERE id = $1`, any(c.decimal(15, 4))
	if c.rng.IntN(4) == 0 {
		sql, value = `UPDATE dbo."Clientes" SET observacoes = $2, atualizado_em = $3 WHERE id = $1`, maybe(c.rng, c.text())
	}
	c.did("clientes", "update", id)
	return one(tx.Exec(ctx, sql, id, value, c.moment()))
}

func (c *company) removeCliente(ctx context.Context, tx pgx.Tx) error {
	if len(c.clientes) < 3 {
		return c.newCliente(ctx, tx)
	}
	id := take(c.rng, &c.clientes)
	c.did("clientes", "delete", id)
	return one(tx.Exec(ctx, `DELETE FROM dbo."Clientes" WHERE id = $1`, id))
}

// rekeyCliente writes the large column, too: a new key is a new row for the destination, and PostgreSQL's log has only what was written.
func (c *company) rekeyCliente(ctx context.Context, tx pgx.Tx) error {
	old := take(c.rng, &c.clientes)
	c.last++
	c.clientes = append(c.clientes, c.last)
	c.did("clientes", "delete", old)
	c.did("clientes", "insert", c.last)
	return one(tx.Exec(ctx, `UPDATE dbo."Clientes" SET id = $2, observacoes = observacoes || '.' WHERE id = $1`, old, c.last))
}

func (c *company) swapCPFs(ctx context.Context, tx pgx.Tx) error {
	if len(c.clientes) < 2 {
		return c.newCliente(ctx, tx)
	}
	a, b := take(c.rng, &c.clientes), take(c.rng, &c.clientes)
	c.clientes = append(c.clientes, a, b)
	c.did("clientes", "update", a)
	c.did("clientes", "update", b)
	tag, err := tx.Exec(ctx, `UPDATE dbo."Clientes" c SET cpf_cnpj = d.cpf_cnpj FROM dbo."Clientes" d WHERE (c.id = $1 AND d.id = $2) OR (c.id = $2 AND d.id = $1)`, a, b)
	if err == nil && tag.RowsAffected() != 2 {
		return fmt.Errorf("clients %d and %d: %s", a, b, tag)
	}
	return err
}

// cpf makes a CPF with right check digits.
func (c *company) cpf() string {
	digits := make([]int, 11)
	for i := range 9 {
		digits[i] = c.rng.IntN(10)
	}
	digits[8] = (digits[0] + 1) % 10 // not all equal
	for n := 9; n < 11; n++ {
		sum := 0
		for i, d := range digits[:n] {
			sum += d * (n + 1 - i)
		}
		if r := sum % 11; r >= 2 {
			digits[n] = 11 - r
		}
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(digits), " ", ""), "[]")
}

// text is short, or so long that PostgreSQL keeps it out of the row.
func (c *company) text() string {
	return strings.Repeat("Observação longa. ", 1+c.rng.IntN(2)*(150+c.rng.IntN(100)))
}

func (c *company) bytes(most int) []byte {
	b := make([]byte, c.rng.IntN(most))
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	return b
}

// decimal has up to so many digits before the point, and exactly so many after it.
func (c *company) decimal(before, after int) string {
	sign := pick(c.rng, "", "", "-")
	return fmt.Sprintf("%s%d.%0*d", sign, c.rng.Int64N(pow10(1+c.rng.IntN(before))), after, c.rng.Int64N(pow10(after)))
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// moment is between 1900 and 2100, to the microsecond.
func (c *company) moment() time.Time {
	return time.Date(1900+c.rng.IntN(200), 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(c.rng.Int64N(365*24*3600*1e6)) * time.Microsecond)
}

func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// maybe is v, or null now and then.
func maybe[T any](rng *rand.Rand, v T) any {
	if rng.IntN(5) == 0 {
		return nil
	}
	return v
}

// take removes a random element, which is there.
func take[T any](rng *rand.Rand, from *[]T) T {
	s := *from
	i := rng.IntN(len(s))
	v := s[i]
	s[i] = s[len(s)-1]
	*from = s[:len(s)-1]
	return v
}
