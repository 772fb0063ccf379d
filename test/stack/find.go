package stack

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// findJava gives a finder for the java command of the newest Java of at least version least.
func findJava(least int) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		best, bestVersion := "", least-1
		for _, home := range javaHomes() {
			java := filepath.Join(home, "bin", "java")
			if _, err := os.Stat(java); err != nil {
				continue
			}
			if v := javaVersion(ctx, home); v > bestVersion {
				best, bestVersion = java, v
			}
		}
		if best == "" {
			return "", fmt.Errorf("java %d or newer: %w", least, errNotFound)
		}
		return best, nil
	}
}

// javaHomes lists the places where this machine may keep a Java.
func javaHomes() []string {
	homes := []string{os.Getenv("JAVA_HOME")}
	if java, err := exec.LookPath("java"); err == nil {
		if java, err = filepath.EvalSymlinks(java); err == nil {
			homes = append(homes, filepath.Dir(filepath.Dir(java)))
		}
	}
	home, _ := os.UserHomeDir()
	for _, pattern := range []string{
		"/usr/lib/jvm/*", "/opt/java/*", "/opt/jdk*", home + "/.sdkman/candidates/java/*", home + "/.jdks/*",
		"/Library/Java/JavaVirtualMachines/*/Contents/Home",
	} {
		found, _ := filepath.Glob(pattern)
		homes = append(homes, found...)
	}
	return slices.DeleteFunc(homes, func(h string) bool { return h == "" })
}

// javaVersion gives the major version of the Java in home, 0 when it cannot be told.
func javaVersion(ctx context.Context, home string) int {
	if b, err := os.ReadFile(filepath.Join(home, "release")); err == nil {
		if _, rest, ok := strings.Cut(string(b), `JAVA_VERSION="`); ok {
			return majorVersion(rest)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(home, "bin", "java"), "-version").CombinedOutput()
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(out), `version "`)
	return majorVersion(rest)
}

// majorVersion reads the number that text starts with: 25 of `25.0.3"`, 0 of "x".
func majorVersion(text string) int {
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	n, _ := strconv.Atoi(text[:end])
	return n
}

// findPython finds a Python that can make virtual environments, 3.13 before others: the
// emulators were tried on it.
func findPython(ctx context.Context) (string, error) {
	home, _ := os.UserHomeDir()
	for _, version := range []string{"3.13", "3.14", "3.12", "3.11"} {
		candidates := []string{"python" + version}
		for _, pattern := range []string{home + "/.pyenv/versions/" + version + "*/bin/python3", "/opt/homebrew/bin/python" + version} {
			found, _ := filepath.Glob(pattern)
			candidates = append(candidates, found...)
		}
		for _, python := range append(candidates, "python3") {
			if runsPython(ctx, python, version) {
				return python, nil
			}
		}
	}
	return "", fmt.Errorf("python 3.11 to 3.14: %w", errNotFound)
}

// runsPython tells whether the command is a Python of that version with venv and pip (a shim of
// pyenv may be neither).
func runsPython(ctx context.Context, python, version string) bool {
	out, err := exec.CommandContext(ctx, python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])").Output()
	return err == nil && strings.TrimSpace(string(out)) == version
}

// findPostgres finds the folder of the newest PostgreSQL's programs.
func findPostgres(context.Context) (string, error) {
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(numberIn(b), numberIn(a)) })
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, dir := range dirs {
		_, errServer := os.Stat(filepath.Join(dir, "postgres"))
		_, errInit := os.Stat(filepath.Join(dir, "initdb"))
		if errServer == nil && errInit == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("postgresql: %w", errNotFound)
}

// numberIn gives the first number of a path, 15 of /usr/lib/postgresql/15/bin.
func numberIn(path string) int {
	return majorVersion(strings.TrimLeftFunc(path, func(r rune) bool { return r < '0' || r > '9' }))
}

// findMaven finds mvn.
func findMaven(context.Context) (string, error) {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("mvn: %w", errNotFound)
	}
	return mvn, nil
}
