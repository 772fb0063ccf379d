package consorcio

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// column gives a column's next value, in wire form and in the form JSON shows.
type column struct {
	name  string
	value func(c *Company, t *table) (wire, json any)
}

func clientes() []column {
	return []column{
		{"id", serial(1000)}, {"nome", name}, {"cpf_cnpj", cpf}, {"email", maybe(email)}, {"telefone", maybe(text("+55 11 9%04d"))},
		{"sexo", maybe(oneOf("F", "M"))}, {"tipo_pessoa", integer[int32](1, 2)}, {"data_nascimento", maybe(date)},
		{"renda_mensal", maybe(decimal(4, 50_000_0000))}, {"limite_pequeno", maybe(decimal(4, 200_000_0000))},
		{"pontuacao", integer[int32](0, 1000)}, {"dependentes", maybe(integer[int32](0, 9))}, {"score", maybe(quarter[float64])},
		{"peso_risco", maybe(quarter[float32])}, {"ativo", boolean}, {"aceita_marketing", maybe(boolean)},
		{"observacoes", maybe(oneOf("Prefere contato à tarde", "Situação: em análise — não ligar", "Cônjuge também é cliente \U0001F44D"))},
		{"perfil_xml", maybe(oneOf(`<perfil nível="ouro"/>`))}, {"horario_contato", maybe(clock)},
		{"ultimo_acesso", maybe(timestamp(time.Millisecond, 3))}, {"criado_em", timestamp(100*time.Nanosecond, 9)},
		{"nasc_exato", maybe(timestamp(100*time.Nanosecond, 9))}, {"atualizado_em", maybe(zoned)}, {"guid_externo", guid}, {"versao", rowversion},
	}
}

func pedidos() []column {
	return []column{
		{"id", serial32(500)}, {"numero", serial(20250314000500)}, {"cliente_id", serial(1000)}, {"produto_id", guid},
		{"status", oneOf("PENDENTE", "APROVADO", "CONTEMPLADO", "CANCELADO")}, {"valor", decimal(2, 900_000_00)},
		{"valor_entrada", maybe(decimal(2, 90_000_00))}, {"desconto", maybe(decimal(4, 99_0000))}, {"taxa_mensal", maybe(decimal(6, 900_000))},
		{"parcelas", integer[int32](1, 200)}, {"data_pedido", timestamp(time.Millisecond, 3)},
		{"data_aprovacao", maybe(timestamp(time.Microsecond, 6))}, {"data_contemplacao", maybe(date)}, {"vencimento", maybe(timestamp(time.Second, 3))},
		{"cancelado_em", maybe(zoned)}, {"observacao", maybe(oneOf("Lance embutido de 30%", "Assembleia nº 12", "Contemplação por sorteio"))}, {"versao", rowversion},
	}
}

func produtos() []column {
	return []column{
		{"id", guid}, {"codigo", text("CONS-%05d")}, {"nome", oneOf("Imóvel até 500 mil", "Automóvel popular", "Caminhão", "Serviços & viagens")},
		{"categoria", oneOf("Imóvel", "Automóvel", "Serviço")}, {"taxa_administracao", decimal(6, 250_000)}, {"fundo_reserva", maybe(decimal(2, 5_00))},
		{"valor_bem", maybe(decimal(10, 900_000_000_000_000))}, {"prazo_meses", maybe(integer[int32](12, 240))}, {"grupo", maybe(decimal(0, 99_999))},
		{"disponivel", boolean}, {"foto", maybe(binaryOf(24))}, {"hash_foto", maybe(binaryOf(32))}, {"miniatura", maybe(binaryOf(3))},
		{"descricao", maybe(oneOf("Carta de crédito \"flexível\"", "Linha 1\nLinha 2\tcom tabulação", `barra \ invertida`))},
		{"termos", maybe(oneOf("Sujeito à análise de crédito."))}, {"abre_as", maybe(nanoClock)}, {"fecha_as", maybe(microClock)}, {"intervalo", maybe(clock)},
		{"vigencia_inicio", maybe(timestamp(time.Millisecond, 3))}, {"vigencia_fim", maybe(timestamp(time.Minute, 3))},
		{"revisado_em", maybe(timestamp(time.Microsecond, 6))}, {"atributos", maybe(oneOf(`{"cor":"azul"}`))},
		{"hierarquia", maybe(binaryOf(2))}, {"area", maybe(binaryOf(22))}, {"versao", rowversion},
	}
}

type values = func(c *Company, t *table) (wire, json any)

func maybe(v values) values {
	return func(c *Company, t *table) (any, any) {
		if c.rng.IntN(4) == 0 {
			return nil, nil
		}
		return v(c, t)
	}
}

func serial(from int64) values {
	return func(_ *Company, t *table) (any, any) { return from + t.serial, from + t.serial }
}

func serial32(from int32) values {
	return func(_ *Company, t *table) (any, any) { return from + int32(t.serial), int64(from) + t.serial }
}

func integer[T int32 | int64](from, to T) values {
	return func(c *Company, _ *table) (any, any) {
		v := from + T(c.rng.Int64N(int64(to-from)+1))
		return v, int64(v)
	}
}

// quarter gives floats that every width holds exactly.
func quarter[T float32 | float64](c *Company, _ *table) (any, any) {
	v := T(c.rng.IntN(4000)) / 4
	return v, float64(v)
}

func boolean(c *Company, _ *table) (any, any) {
	v := c.rng.IntN(2) == 0
	return v, v
}

func oneOf(texts ...string) values {
	return func(c *Company, _ *table) (any, any) {
		s := texts[c.rng.IntN(len(texts))]
		return s, s
	}
}

func text(format string) values {
	return func(c *Company, _ *table) (any, any) {
		s := fmt.Sprintf(format, c.rng.IntN(10000))
		return s, s
	}
}

func name(c *Company, _ *table) (any, any) {
	first := []string{"José", "Conceição", "Antônio", "Luíza", "Zoë", "Ângela", "João"}
	last := []string{"da Silva", "Gonçalves", "D'Ávila", "Müller", "Araújo & Filhos", "Íñiguez"}
	s := first[c.rng.IntN(len(first))] + " " + last[c.rng.IntN(len(last))]
	return s, s
}

func email(c *Company, _ *table) (any, any) {
	s := fmt.Sprintf("cliente%d@exemplo.com.br", c.rng.IntN(10000))
	return s, s
}

// cpf gives a CPF with right check digits (Receita Federal: weights from 10 and 11 down, modulo 11).
func cpf(c *Company, _ *table) (any, any) {
	digits := make([]byte, 0, 11)
	for range 9 {
		digits = append(digits, byte(c.rng.IntN(10)))
	}
	for len(digits) < 11 {
		sum := 0
		for i, d := range digits {
			sum += int(d) * (len(digits) + 1 - i)
		}
		check := byte(sum * 10 % 11 % 10)
		digits = append(digits, check)
	}
	for i := range digits {
		digits[i] += '0'
	}
	return string(digits), string(digits)
}

// decimal gives DECIMAL values of a scale, negative ones too, below limit units of the last digit.
func decimal(scale int, limit int64) values {
	return func(c *Company, _ *table) (any, any) {
		unscaled := c.rng.Int64N(2*limit) - limit
		r := new(big.Rat).SetFrac(big.NewInt(unscaled), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		return r, r.FloatString(scale)
	}
}

func date(c *Company, _ *table) (any, any) {
	days := c.rng.IntN(30000) - 8000
	return int32(days), time.Unix(0, 0).UTC().AddDate(0, 0, days).Format(time.DateOnly)
}

// timestamp gives DATETIME2 values in steps of step; the wire unit has the given number of digits.
func timestamp(step time.Duration, digits int) values {
	unit := map[int]time.Duration{3: time.Millisecond, 6: time.Microsecond, 9: time.Nanosecond}[digits]
	return func(c *Company, _ *table) (any, any) {
		at := time.Unix(c.rng.Int64N(2_000_000_000)-300_000_000, c.rng.Int64N(1_000_000_000)).UTC().Truncate(step)
		return at.UnixNano() / int64(unit), at.Format("2006-01-02T15:04:05." + strings.Repeat("0", digits))
	}
}

func zoned(c *Company, _ *table) (any, any) {
	at := time.Unix(c.rng.Int64N(2_000_000_000), 0).In(time.FixedZone("", -3*3600))
	s := at.Format("2006-01-02T15:04:05-07:00")
	return s, s
}

func clock(c *Company, _ *table) (any, any) {
	d := time.Duration(c.rng.IntN(86_400_000)) * time.Millisecond
	return int32(d / time.Millisecond), clockText(d, 3)
}

func microClock(c *Company, _ *table) (any, any) {
	d := time.Duration(c.rng.Int64N(86_400_000_000)) * time.Microsecond
	return int64(d / time.Microsecond), clockText(d, 6)
}

func nanoClock(c *Company, _ *table) (any, any) {
	d := time.Duration(c.rng.Int64N(864_000_000_000)) * 100
	return int64(d), clockText(d, 9)
}

func clockText(d time.Duration, digits int) string {
	return time.Unix(0, 0).UTC().Add(d).Format("15:04:05." + strings.Repeat("0", digits))
}

func guid(c *Company, _ *table) (any, any) {
	s := fmt.Sprintf("%08X-%04X-4%03X-8%03X-%012X", c.rng.Uint32(), c.rng.IntN(1<<16), c.rng.IntN(1<<12), c.rng.IntN(1<<12), c.rng.Int64N(1<<48))
	return s, s
}

func binaryOf(n int) values {
	return func(c *Company, _ *table) (any, any) {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(c.rng.IntN(256))
		}
		return b, base64.StdEncoding.EncodeToString(b)
	}
}

func rowversion(c *Company, _ *table) (any, any) {
	b := []byte{0, 0, 0, 0, 0, byte(c.rng.IntN(256)), byte(c.rng.IntN(256)), byte(c.rng.IntN(256))}
	return b, base64.StdEncoding.EncodeToString(b)
}
