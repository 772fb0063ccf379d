package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlaceholdersAreResolvedAsKafkasConfigTransformerDoes(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "s.properties"), []byte("user=ana\npw=${env:STEP_A}\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "token"), []byte("tok\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(t.TempDir(), "outside"), []byte("x=1"), 0o600))
	t.Setenv("STEP_A", "from env")
	t.Setenv("OTHER", "not allowed")
	p, err := NewProviders(map[string]string{
		"config.providers":                             "file, dir,env",
		"config.providers.file.class":                  "org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.dir.class":                   "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
		"config.providers.env.class":                   "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
		"config.providers.file.param.allowed.paths":    dir,
		"config.providers.env.param.allowlist.pattern": "STEP_.*",
	}, nil)
	must(t, err)
	for _, tt := range []struct{ name, text, want, problem string }{
		{"a key of a file", "${file:" + dir + "/s.properties:user}", "ana", ""},
		{"the result is not looked at again", "${file:" + dir + "/s.properties:pw}", "${env:STEP_A}", ""},
		{"a file's whole content, its line feed too", "${dir:" + dir + ":token}", "tok\n", ""},
		{"the environment", "${env:STEP_A}", "from env", ""},
		{"several in one text", "u=${env:STEP_A};t=${dir:" + dir + ":token}!", "u=from env;t=tok\n!", ""},
		{"a key that does not exist stays", "${file:" + dir + "/s.properties:none}", "${file:" + dir + "/s.properties:none}", ""},
		{"a provider that does not exist stays", "${vault:a:b}", "${vault:a:b}", ""},
		{"a variable that is not allowed stays", "${env:OTHER}", "${env:OTHER}", ""},
		{"text without a colon stays", "${notOne}", "${notOne}", ""},
		{"a file name with a path is no file of the directory", "${dir:" + dir + ":../x}", "${dir:" + dir + ":../x}", ""},
		{"a file that is not allowed is an error", "${file:" + dir + "/../outside:x}", "", "is not under allowed.paths"},
		{"a file that cannot be read is an error", "${file:" + dir + "/none:x}", "", "no such file"},
		{"a path for the environment is an error", "${env:a:STEP_A}", "", "the environment has no path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.Resolve(t.Context(), map[string]*string{"k": &tt.text, "null": nil})
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), "configuration k") {
					t.Error(err)
				}
				return
			}
			must(t, err)
			if *got["k"] != tt.want || got["null"] != nil {
				t.Errorf("%q", *got["k"])
			}
		})
	}
}

func TestProvidersThatCannotBeMadeAreAllNamed(t *testing.T) {
	_, err := NewProviders(map[string]string{
		"config.providers": "a,b,c", "config.providers.a.class": "x.Y",
		"config.providers.b.class": "org.apache.kafka.common.config.provider.FileConfigProvider", "config.providers.b.param.allowed.paths": "relative",
		"config.providers.c.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider", "config.providers.c.param.allowlist.pattern": "(",
	}, nil)
	for _, part := range []string{`config.providers.a.class: "x.Y" is no config provider`, `"relative" is not absolute`, "allowlist.pattern"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}
