package api

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// LoadAuth reads the users file (rest.auth.basic.users.file) and the tokens file
// (rest.auth.bearer.tokens.file); "" leaves one out, and both left out give nil: no authentication.
// All mistakes are reported at once, by file and line, and never with a hash.
func LoadAuth(usersFile, tokensFile string) (*Auth, error) {
	if usersFile == "" && tokensFile == "" {
		return nil, nil
	}
	a := newAuth()
	errs := []error{
		readFile("rest.auth.basic.users.file", usersFile, a.ReadUsers),
		readFile("rest.auth.bearer.tokens.file", tokensFile, a.ReadTokens),
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(a.users)+len(a.tokens) == 0 {
		return nil, errors.New("rest.auth.basic.users.file, rest.auth.bearer.tokens.file: no user and no token in them, so nobody could use the REST API")
	}
	return a, nil
}

func readFile(key, path string, read func(string, io.Reader) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	defer f.Close()
	return read(path, f)
}

// ReadUsers adds the users of a file of lines "user:bcrypt-hash[:role]", as htpasswd -B writes
// them; the role is read-only or admin (the default). Empty lines and lines that begin with # are
// skipped. name is the file's name in errors.
func (a *Auth) ReadUsers(name string, r io.Reader) error {
	return readLines(name, r, func(user, hash string, role Role) error {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return fmt.Errorf("user %q: the password is not hashed with bcrypt; make the line with: htpasswd -nB %s", user, user)
		}
		if _, twice := a.users[user]; twice {
			return fmt.Errorf("user %q stands in the file twice", user)
		}
		a.users[user] = credential{Principal{user, role}, []byte(hash)}
		return nil
	})
}

// ReadTokens adds the bearer tokens of a file of lines "name:sha256[:role]", where sha256 is the
// SHA-256 of the token in hex. name is the file's name in errors.
func (a *Auth) ReadTokens(name string, r io.Reader) error {
	return readLines(name, r, func(user, hash string, role Role) error {
		t := token{principal: Principal{user, role}}
		n, err := hex.Decode(t.sum[:], []byte(hash)[:min(len(hash), 2*len(t.sum))])
		if err != nil || n != len(t.sum) || len(hash) != 2*len(t.sum) {
			return fmt.Errorf("token %q: expected the SHA-256 of the token as 64 hex digits; make it with: printf %%s \"$TOKEN\" | sha256sum", user)
		}
		a.tokens = append(a.tokens, t)
		return nil
	})
}

func readLines(file string, r io.Reader, add func(user, hash string, role Role) error) error {
	var errs []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := addLine(line, add); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, n, err))
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", file, err))
	}
	return errors.Join(errs...)
}

func addLine(line string, add func(user, hash string, role Role) error) error {
	fields := strings.Split(line, ":")
	if len(fields) < 2 || len(fields) > 3 || fields[0] == "" {
		return errors.New("expected user:hash or user:hash:role")
	}
	role := Admin
	if len(fields) == 3 {
		role = Role(fields[2])
	}
	if role != Admin && role != ReadOnly {
		return fmt.Errorf("user %q: the role %q is neither %s nor %s", fields[0], role, ReadOnly, Admin)
	}
	return add(fields[0], fields[1], role)
}
