package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What the company does with products and orders, whose changes are all notified.

func (c *company) newUUID() string {
	u := fmt.Sprintf("%016x%016x", c.rng.Uint64(), c.rng.Uint64())
	return u[:8] + "-" + u[8:12] + "-" + u[12:16] + "-" + u[16:20] + "-" + u[20:]
}

func (c *company) newProduto(ctx context.Context, tx pgx.Tx) error {
	id, at := c.newUUID(), c.moment()
	_, err := tx.Exec(ctx, `INSERT INTO dbo."Produtos" (id, codigo, nome, categoria, taxa_administracao, fundo_reserva, valor_bem, prazo_meses, grupo, disponivel, foto, hash_foto, miniatura,
		descricao, termos, abre_as, fecha_as, intervalo, vigencia_inicio, vigencia_fim, revisado_em, atributos, hierarquia, area)
		VALUES ($1, $2, $3, $4, $5::text::numeric, $6::text::numeric, $7::text::numeric, $8, $9::text::numeric, $10, $11, $12, $13, $14, $15, $16::text::time, $17::text::time, $18::text::time,
		$19, $20, $21, $22::text::xml, $23, $24)`,
		id, fmt.Sprintf("IMV-%d", c.rng.IntN(1000)), pick(c.rng, "Carta de Crédito Imóvel", "Moto 🏍", "Caminhão"), maybe(c.rng, "Veículo"), c.decimal(3, 6), maybe(c.rng, c.decimal(3, 2)),
		maybe(c.rng, c.decimal(18, 10)), maybe(c.rng, c.rng.IntN(240)), maybe(c.rng, fmt.Sprint(c.rng.Int64N(1e17))), c.rng.IntN(2) == 0, maybe(c.rng, c.bytes(4000)), maybe(c.rng, c.bytes(33)),
		maybe(c.rng, c.bytes(2)), maybe(c.rng, c.text()), maybe(c.rng, "termos"), maybe(c.rng, at.Format("15:04:05.000000")), maybe(c.rng, at.Format("15:04:05.000000")), maybe(c.rng, at.Format("15:04:05.000")),
		maybe(c.rng, at.Truncate(time.Minute)), maybe(c.rng, at.Truncate(time.Second)), maybe(c.rng, at), maybe(c.rng, "<a b=\"1\"/>"), maybe(c.rng, c.bytes(9)), maybe(c.rng, c.bytes(30)))
	c.produtos = append(c.produtos, id)
	c.did("produtos", "insert", id)
	return err
}

func (c *company) changeProduto(ctx context.Context, tx pgx.Tx) error {
	id := c.produtos[c.rng.IntN(len(c.produtos))]
	c.did("produtos", "update", id)
	if c.rng.IntN(4) == 0 {
		return one(tx.Exec(ctx, `UPDATE dbo."Produtos" SET foto = $2, revisado_em = $3 WHERE id = $1`, id, maybe(c.rng, c.bytes(4000)), c.moment()))
	}
	return one(tx.Exec(ctx, `UPDATE dbo."Produtos" SET disponivel = NOT disponivel, valor_bem = $2::text::numeric WHERE id = $1`, id, c.decimal(18, 10)))
}

func (c *company) removeProduto(ctx context.Context, tx pgx.Tx) error {
	if len(c.produtos) < 2 {
		return c.newProduto(ctx, tx)
	}
	id := take(c.rng, &c.produtos)
	c.did("produtos", "delete", id)
	return one(tx.Exec(ctx, `DELETE FROM dbo."Produtos" WHERE id = $1`, id))
}

// rekeyProduto writes the large columns, too, as rekeyCliente does.
func (c *company) rekeyProduto(ctx context.Context, tx pgx.Tx) error {
	old, id := take(c.rng, &c.produtos), c.newUUID()
	c.produtos = append(c.produtos, id)
	c.did("produtos", "delete", old)
	c.did("produtos", "insert", id)
	return one(tx.Exec(ctx, `UPDATE dbo."Produtos" SET id = $2, foto = foto || '\x00', descricao = descricao || '.' WHERE id = $1`, old, id))
}

func (c *company) newPedido(ctx context.Context, tx pgx.Tx) error {
	c.last++
	return c.insertPedido(ctx, tx, c.last, c.clientes[c.rng.IntN(len(c.clientes))])
}

func (c *company) insertPedido(ctx context.Context, tx pgx.Tx, id, cliente int) error {
	at := c.moment()
	_, err := tx.Exec(ctx, `INSERT INTO dbo."Pedidos" (id, numero, cliente_id, produto_id, status, valor, valor_entrada, desconto, taxa_mensal, parcelas, data_pedido, data_aprovacao,
		data_contemplacao, vencimento, cancelado_em, observacao)
		VALUES ($1, $2, $3, $4, $5, $6::text::numeric, $7::text::numeric, $8::text::numeric, $9::text::numeric, $10, $11, $12, $13, $14, $15, $16)`,
		id, 9007199254740993+int64(id), cliente, pick(c.rng, c.produtos...), pick(c.rng, "PENDENTE", "APROVADO", "CANCELADO"), c.decimal(16, 2), maybe(c.rng, c.decimal(10, 2)),
		maybe(c.rng, c.decimal(6, 4)), maybe(c.rng, c.decimal(3, 6)), maybe(c.rng, 1+c.rng.IntN(240)), at.Truncate(time.Millisecond), maybe(c.rng, at.Truncate(10*time.Microsecond)),
		maybe(c.rng, at.Truncate(24*time.Hour)), maybe(c.rng, at.Truncate(time.Minute)), maybe(c.rng, at), maybe(c.rng, c.text()))
	c.pedidos = append(c.pedidos, id)
	c.did("pedidos", "insert", id)
	return err
}

func (c *company) changePedido(ctx context.Context, tx pgx.Tx) error {
	if len(c.pedidos) == 0 {
		return c.newPedido(ctx, tx)
	}
	return c.updatePedido(ctx, tx, c.pedidos[c.rng.IntN(len(c.pedidos))])
}

func (c *company) updatePedido(ctx context.Context, tx pgx.Tx, id int) error {
	c.did("pedidos", "update", id)
	return one(tx.Exec(ctx, `UPDATE dbo."Pedidos" SET status = $2, valor = $3::text::numeric WHERE id = $1`, id, pick(c.rng, "APROVADO", "CANCELADO", "CONTEMPLADO"), c.decimal(16, 2)))
}

func (c *company) changePedidoThrice(ctx context.Context, tx pgx.Tx) error {
	if len(c.pedidos) == 0 {
		return c.newPedido(ctx, tx)
	}
	id := c.pedidos[c.rng.IntN(len(c.pedidos))]
	for range 3 {
		if err := c.updatePedido(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

func (c *company) removePedido(ctx context.Context, tx pgx.Tx) error {
	if len(c.pedidos) == 0 {
		return c.newPedido(ctx, tx)
	}
	return c.deletePedido(ctx, tx, take(c.rng, &c.pedidos))
}

func (c *company) deletePedido(ctx context.Context, tx pgx.Tx, id int) error {
	c.did("pedidos", "delete", id)
	return one(tx.Exec(ctx, `DELETE FROM dbo."Pedidos" WHERE id = $1`, id))
}

func (c *company) rekeyPedido(ctx context.Context, tx pgx.Tx) error {
	if len(c.pedidos) == 0 {
		return c.newPedido(ctx, tx)
	}
	old := take(c.rng, &c.pedidos)
	c.last++
	c.pedidos = append(c.pedidos, c.last)
	c.did("pedidos", "delete", old)
	c.did("pedidos", "insert", c.last)
	return one(tx.Exec(ctx, `UPDATE dbo."Pedidos" SET id = $2 WHERE id = $1`, old, c.last))
}

func (c *company) rekeyPedidoTwice(ctx context.Context, tx pgx.Tx) error {
	if err := c.newPedido(ctx, tx); err != nil {
		return err
	}
	for range 2 {
		if err := c.rekeyPedido(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

func (c *company) remakePedido(ctx context.Context, tx pgx.Tx) error {
	if len(c.pedidos) == 0 {
		return c.newPedido(ctx, tx)
	}
	id := take(c.rng, &c.pedidos)
	if err := c.deletePedido(ctx, tx, id); err != nil {
		return err
	}
	return c.insertPedido(ctx, tx, id, pick(c.rng, c.clientes...))
}

// newPedidoAndCliente writes an order before the client that it names.
func (c *company) newPedidoAndCliente(ctx context.Context, tx pgx.Tx) error {
	c.last += 2
	cliente := c.last
	if err := c.insertPedido(ctx, tx, cliente-1, cliente); err != nil {
		return err
	}
	return c.insertCliente(ctx, tx, cliente, c.cpf())
}

// one demands that a statement changed one row: what the company keeps account of must be so.
func one(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() != 1 {
		return fmt.Errorf("%s, want one row", tag)
	}
	return err
}
