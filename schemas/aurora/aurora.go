// Package aurora holds the destination's database: the migrations of the schema consorcio, for
// Aurora PostgreSQL 15 and newer. They are numbered and applied in that order; each may be applied
// again at any time, which changes nothing where nothing is to change.
package aurora

import (
	"embed"
	"io/fs"
	"slices"
)

// Files are the migrations, <number>_<what>.sql.
//
//go:embed *.sql
var Files embed.FS

// Migration is one file of SQL statements, to be sent as one simple query, in one transaction.
type Migration struct {
	Name string // of the file
	SQL  string
}

// Migrations gives the migrations in the order in which they are applied.
func Migrations() ([]Migration, error) {
	names, err := fs.Glob(Files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	migrations := make([]Migration, len(names))
	for i, name := range names {
		text, err := Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		migrations[i] = Migration{Name: name, SQL: string(text)}
	}
	return migrations, nil
}
