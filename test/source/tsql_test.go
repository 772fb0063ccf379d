package source

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/test/stack"
)

// scripts gives the T-SQL of configs/sqlserver by path.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../configs/sqlserver/*.sql")
	if err != nil || len(files) < 7 {
		t.Fatalf("%v %v", files, err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = string(b)
	}
	return out
}

// unparsable gives for each script what in it is no T-SQL.
func unparsable(t *testing.T, paths []string) map[string][]string {
	t.Helper()
	args := []string{
		"testdata/tsql.py", "RetentionMinutes=10080", "DebeziumPassword=x", "MaxDowntimeMinutes=4320", "Step=1", "Table=Clientes", "Former=dbo_Clientes",
		"Fresh=dbo_Clientes_v2", "Condition=id BETWEEN 1 AND 2", "Bucket=12", "Row=", "--",
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(stack.Tools(t), "python3"), append(args, paths...)...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var wrong map[string][]string
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatal(err)
	}
	return wrong
}

func TestEveryScriptParsesAsTransactSQL(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.sql")
	var paths []string
	for path, text := range scripts(t) {
		paths = append(paths, path)
		if strings.HasSuffix(path, "02-enable-cdc.sql") {
			// The parser must be able to find a mistake: here a cursor's loop without its end.
			if err := os.WriteFile(broken, []byte(strings.Replace(text, "FETCH NEXT FROM tables INTO @table;\nEND;", "FETCH NEXT FROM tables INTO @table;", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	wrong := unparsable(t, append(paths, broken))
	if len(wrong[broken]) == 0 {
		t.Error("a loop without an end is accepted: the parser shows nothing")
	}
	for _, path := range paths {
		if len(wrong[path]) > 0 {
			t.Errorf("%s: %s", filepath.Base(path), strings.Join(wrong[path], "; "))
		}
	}
}

var (
	lineComment = regexp.MustCompile(`(?m)--.*$`)
	creates     = regexp.MustCompile(`(?i)\b(CREATE (TABLE|ROLE|USER|LOGIN)|sp_cdc_(en|dis)able_(db|table)|ALTER TABLE)\b`)
	guard       = regexp.MustCompile(`(?i)\b(IF|CASE WHEN)\b`)
)

// TestEveryScriptCanBeRunAgain: what makes or drops something does so under a condition, in the statement or the one around it.
func TestEveryScriptCanBeRunAgain(t *testing.T) {
	seen := 0
	for path, text := range scripts(t) {
		text = lineComment.ReplaceAllString(text, "")
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			if !creates.MatchString(line) {
				continue
			}
			seen++
			// 05-evolve-table.sql makes its second instance where the statement at its beginning has found one alone.
			before := strings.Join(lines[max(0, i-12):i+1], "\n")
			if !guard.MatchString(before) {
				t.Errorf("%s makes this whether or not it is there: %s", filepath.Base(path), strings.TrimSpace(line))
			}
		}
		if !strings.Contains(text, "SET NOCOUNT ON") {
			t.Errorf("%s prints row counts between its results", filepath.Base(path))
		}
	}
	if seen < 10 {
		t.Errorf("only %d statements were seen", seen)
	}
}

// TestTheLoginMayReadAndNothingElse: what Debezium's queries need (debezium 3.6.1's SqlServerConnection), and the signal table.
func TestTheLoginMayReadAndNothingElse(t *testing.T) {
	text := lineComment.ReplaceAllString(scripts(t)["../../configs/sqlserver/03-login.sql"], "")
	want := map[string]bool{
		"SELECT ON SCHEMA::cdc": true, "SELECT ON dbo.Clientes": true, "SELECT ON dbo.Pedidos": true, "SELECT ON dbo.Produtos": true,
		"SELECT, INSERT ON dbo.debezium_signal": true, "VIEW DATABASE STATE": true, "VIEW SERVER STATE": true,
	}
	for _, m := range regexp.MustCompile(`GRANT (.*?) TO debezium;`).FindAllStringSubmatch(text, -1) {
		if !want[m[1]] {
			t.Errorf("the login gets %s", m[1])
		}
		delete(want, m[1])
	}
	if len(want) > 0 {
		t.Errorf("the login lacks %v", want)
	}
	if roles := regexp.MustCompile(`ALTER (?:SERVER )?ROLE (\w+) ADD MEMBER`).FindAllStringSubmatch(text, -1); len(roles) != 1 || roles[0][1] != "cdc_reader" {
		t.Errorf("the login is a member of %v", roles)
	}
}
