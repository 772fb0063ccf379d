package destination

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
)

// checksum is that of a row's text as configs/sqlserver/reconcile-contents.sql computes it: HASHBYTES takes an nvarchar as UTF-16LE.
func checksum(content string) int64 {
	var b []byte
	for _, unit := range utf16.Encode([]rune(content)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	sum := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

func TestARowsTextIsWhatSQLServerWrites(t *testing.T) {
	db := open(t)
	const us = "\x1f"
	db.apply(t, "clientes", insert("Clientes", cliente("42").with("nome", "Zoë 👩‍👩‍👧").with("sexo", nil).with("observacoes", ""), at{1, 1}))
	db.apply(t, "pedidos", insert("Pedidos", pedido("1", "7", "10").with("desconto", "-0.5").with("cancelado_em", "2025-03-14T10:07:21.537-03:00").with("data_pedido", "0001-01-01T00:00:00.000"), at{1, 1}))
	db.apply(t, "produtos", insert("Produtos", produto("P1").with("foto", "").with("vigencia_fim", "9999-12-31T23:59:59"), at{1, 1}))
	sha := func(b []byte) string { return fmt.Sprintf("%X", sha256.Sum256(b)) }
	for table, want := range map[string][]string{
		"Clientes": {
			"=42", "=Zoë 👩‍👩‍👧", "=529.982.247-25", "=jose@exemplo.com.br", "~", "~", "=1", "=1984-02-29", "=7543.2100", "~", "=720", "=2",
			"=3FEA000000000000", "=3DCCCCCD", "=1", "=0", "=", "=<perfil/>", "=14:30:00.000000", "=2025-03-14 01:11:50.123", "=2019-07-09 02:28:57.1234567", "~",
			"=2025-03-14 10:07:21.5370000 -03:00", "=6F9619FF-8B86-D011-B42D-00C04FC964FF", "=" + sha([]byte{0, 0, 0, 0, 0, 0, 0x07, 0xd1}),
		},
		"Pedidos": {
			"=1", "=20250314000501", "=7", "=0E984725-C51C-4BF4-9960-E1C80E27ABA0", "=APROVADO", "=10.00", "=8500.50", "=-0.5000", "=0.012345", "=84", "=0001-01-01 00:00:00.000",
			"=2025-03-14 15:00:00.123450", "=2026-12-31", "=2025-04-10 12:00:00.000", "=2025-03-14 10:07:21.5370000 -03:00", "=Lance embutido de 30%", "=" + sha([]byte{0, 0, 0, 0, 0, 0, 0x0f, 0xa1}),
		},
		"Produtos": {
			"=P1", "=IMV-200", "=Carta de Crédito Imóvel", "=Imóvel", "=0.155000", "=2.50", "=200000.0000000000", "=180", "=4711", "=1", "=" + sha(nil), "~", "=" + sha([]byte{0xff}),
			"=Plano de 180 meses", "~", "=08:30:00.1234567", "=17:59:59.999900", "=12:00:00.250000", "=2025-01-01 00:00:00.000", "=9999-12-31 23:59:59.000000", "=2025-02-28 23:59:59.999999", "=<a/>",
			"=" + sha([]byte{0x5a, 0xc0}), "~", "=" + sha([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}),
		},
	} {
		content := strings.Join(want, us)
		if got := value[string](t, db, `SELECT content FROM consorcio.contents WHERE "table" = $1`, table); got != content {
			t.Errorf("%s: %q, want %q", table, got, content)
		}
		if got := value[int64](t, db, `SELECT checksum::bigint FROM consorcio.content_checksums WHERE "table" = $1`, table); got != checksum(content) {
			t.Errorf("%s: checksum %d, want %d", table, got, checksum(content))
		}
	}
}

func TestContentsNameARowThatDiffersUnderTheSameVersion(t *testing.T) {
	db := open(t)
	db.apply(t, "clientes", insert("Clientes", cliente("1"), at{1, 1}), insert("Clientes", cliente("10000"), at{1, 2}), insert("Clientes", cliente("10001"), at{1, 3}))
	const ranges, rows = `SELECT string_agg(bucket || ':' || checksum, ' ' ORDER BY bucket) FROM consorcio.content_checksums`,
		`SELECT string_agg(id || ':' || consorcio.content_checksum(content), ' ' ORDER BY id) FROM consorcio.contents WHERE bucket = '1'`
	versions := value[string](t, db, "SELECT string_agg(checksum::text, ' ' ORDER BY bucket) FROM consorcio.checksums")
	before, rowsBefore := strings.Fields(value[string](t, db, ranges)), strings.Fields(value[string](t, db, rows))
	if _, err := db.Exec(t.Context(), "UPDATE consorcio.clientes SET nome = 'José da Sílva' WHERE id = 10001"); err != nil {
		t.Fatal(err)
	}
	after, rowsAfter := strings.Fields(value[string](t, db, ranges)), strings.Fields(value[string](t, db, rows))
	if before[0] != after[0] || before[1] == after[1] || rowsBefore[0] != rowsAfter[0] || rowsBefore[1] == rowsAfter[1] {
		t.Errorf("ranges %v and %v, rows %v and %v: want range 1 and row 10001 alone to differ", before, after, rowsBefore, rowsAfter)
	}
	if got := value[string](t, db, "SELECT string_agg(checksum::text, ' ' ORDER BY bucket) FROM consorcio.checksums"); got != versions {
		t.Errorf("the sums of rowversions differ, so this test shows nothing")
	}
}

// TestBothHalvesOfTheComparisonNameTheSameColumnsInTheSameOrder as the source's tables have them.
func TestBothHalvesOfTheComparisonNameTheSameColumnsInTheSameOrder(t *testing.T) {
	columns := func(path, pattern string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
			out = append(out, m[1])
		}
		return strings.Join(out, " ")
	}
	// The innermost name of a column's expression.
	aurora := columns("../../schemas/aurora/0007_contents.sql", `(?m)^  coalesce\('=' \|\| (?:[\w.]+\()*(\w+)`)
	source := columns("../../configs/sqlserver/reconcile-contents.sql", `(?m)^    COALESCE\(N'=' \+ (?:\w+\((?:nvarchar\(\w+\), |'SHA2_256', )?)*(\w+)`)
	tables := columns("../../configs/sqlserver/01-tables.sql", `(?m)^  (\w+) +(?:\w)`)
	// 01-tables.sql makes Produtos before Pedidos, which refers to it.
	i, j := strings.Index(tables, " id codigo "), strings.Index(tables, " id numero ")
	tables = tables[:i] + tables[j:] + tables[i:j]
	if aurora != tables || source != tables || len(strings.Fields(tables)) != 67 {
		t.Errorf("%d columns\nAurora %s\nsource %s\ntables %s", len(strings.Fields(tables)), aurora, source, tables)
	}
}
