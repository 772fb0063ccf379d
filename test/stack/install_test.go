package stack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAnInstallationIsMadeOnceHoweverManyAskForIt(t *testing.T) {
	s := &setup{cache: t.TempDir(), logf: t.Logf}
	var built atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			dir, err := s.install(t.Context(), "java.txt", func(_ context.Context, file, dir string) error {
				built.Add(1)
				return os.Rename(file, filepath.Join(dir, "installed"))
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "installed")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times, want once", built.Load())
	}
}

func TestABrokenInstallationIsMadeAnew(t *testing.T) {
	s := &setup{cache: t.TempDir(), logf: t.Logf}
	cause := errors.New("connection reset")
	_, err := s.install(t.Context(), "java.txt", func(_ context.Context, _, dir string) error {
		return errors.Join(cause, os.WriteFile(filepath.Join(dir, "half"), nil, 0o600))
	})
	if !errors.Is(err, cause) {
		t.Fatalf("error = %v, want %v", err, cause)
	}
	dir, err := s.install(t.Context(), "java.txt", func(context.Context, string, string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
		t.Error("the new installation holds a file of the broken one")
	}
}

func TestAMissingPrerequisiteIsNamedWithItsCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // neither mvn nor apt-get
	s := &setup{cache: t.TempDir(), logf: t.Logf}
	_, err := s.install(t.Context(), "kafka.xml", s.jars)
	const want = "install kafka: Maven (mvn) is missing; install it with: sudo apt-get install -y maven"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestUpRefusesAnUnknownServerBeforeItStartsAny(t *testing.T) {
	_, err := Up(t.Context(), t.Logf, "kafka", "oracle")
	if err == nil || !strings.Contains(err.Error(), `unknown server "oracle" (there are kafka, registry, postgres, moto, ministack)`) {
		t.Errorf("error = %v", err)
	}
}

func TestVersionsAreReadFromWhatMachinesHold(t *testing.T) {
	for text, want := range map[string]int{`25.0.3"`: 25, "17": 17, `1.8.0_402"`: 1, "ea": 0, "": 0} {
		if got := majorVersion(text); got != want {
			t.Errorf("majorVersion(%q) = %d, want %d", text, got, want)
		}
	}
	for path, want := range map[string]int{"/usr/lib/postgresql/15/bin": 15, "/opt/homebrew/opt/postgresql@17/bin": 17, "/usr/bin": 0} {
		if got := numberIn(path); got != want {
			t.Errorf("numberIn(%q) = %d, want %d", path, got, want)
		}
	}
}

func TestTheNewestJavaThatIsNewEnoughIsFound(t *testing.T) {
	homes := t.TempDir()
	for name, version := range map[string]string{"old": "17.0.15", "new": "23.0.1"} {
		bin := filepath.Join(homes, name, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		release := []byte("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\n")
		if err := errors.Join(os.WriteFile(filepath.Join(bin, "java"), nil, 0o700), os.WriteFile(filepath.Join(homes, name, "release"), release, 0o600)); err != nil {
			t.Fatal(err)
		}
		if got := javaVersion(t.Context(), filepath.Join(homes, name)); got != majorVersion(version) {
			t.Errorf("version of %s = %d, want %d", name, got, majorVersion(version))
		}
	}
	t.Setenv("JAVA_HOME", filepath.Join(homes, "new"))
	if _, err := findJava(1000)(t.Context()); !errors.Is(err, errNotFound) {
		t.Errorf("findJava(1000) gives %v, want %v", err, errNotFound)
	}
	if java, err := findJava(22)(t.Context()); err != nil || !strings.HasSuffix(java, "/bin/java") {
		t.Errorf("findJava(22) = %q, %v", java, err)
	}
}
