package infrastructure

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/api"
	"github.com/stepconnect/stepconnect/runtime"
)

// container gives a container of stepconnect.yaml, rendered.
func container(t *testing.T, name string) map[string]any {
	t.Helper()
	tpl := load(t, "stepconnect")
	n := account(names{
		"BootstrapServers": "b-1.example:9098,b-2.example:9098", "RegistryUrl": "http://registry.consorcio.internal:8080/apis/ccompat/v7",
		"UsersSecretArn": "arn:aws:secretsmanager:sa-east-1:000000000000:secret:users", "Image": "stepconnect:0.1.0", "Logs": "/consorcio/stepconnect",
	})
	for _, c := range n.render(t, tpl, tpl.Resources["TaskDefinition"].Properties["ContainerDefinitions"]).([]any) {
		if c := c.(map[string]any); c["Name"] == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return nil
}

// TestTheFirstContainerWritesWhatTheWorkerTakes runs the first container's script with a shell of this machine.
func TestTheFirstContainerWritesWhatTheWorkerTakes(t *testing.T) {
	c := container(t, "config")
	dir := t.TempDir()
	for _, d := range []string{"config", "worker-tmp", "bin"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Owners are root's to change, and the address is the task's.
	for program, script := range map[string]string{"chown": `echo "$@" >>"$OWNERS"`, "hostname": `[ "$1" = -i ] && echo "10.0.1.17 169.254.172.2"`} {
		if err := os.WriteFile(filepath.Join(dir, "bin", program), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := listOf(c["Command"])[0].(string)
	for _, path := range []string{"/config/", "/worker-tmp"} {
		script = strings.ReplaceAll(script, path, dir+path)
	}
	entry := listOf(c["EntryPoint"])
	const users = "admin:$2y$05$abcdefghijklmnopqrstuuO3cLyfBJOUXjNIVrhtbAOLXZHyNeZ6y:admin"
	cmd := exec.CommandContext(t.Context(), entry[0].(string), entry[1].(string), script)
	properties := listOf(c["Environment"])[0].(map[string]any)
	cmd.Env = []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH"), "OWNERS=" + dir + "/owners", properties["Name"].(string) + "=" + properties["Value"].(string), "USERS=" + users}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	file := filepath.Join(dir, "config", "worker.properties")
	cfg, _, err := runtime.LoadWorkerConfig(t.Context(), file, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.WorkerID(nil); got != "10.0.1.17:8083" {
		t.Errorf("the other workers are told %s", got)
	}
	if got, want := cfg.Values.String("rest.auth.basic.users.file"), "/config/users"; got != want {
		t.Errorf("users are in %s, want %s", got, want)
	}
	for _, topic := range []string{"config", "offset", "status"} {
		if name := cfg.Values.String(topic + ".storage.topic"); !strings.HasPrefix(name, "stepconnect-") {
			t.Errorf("topic %s, to which the workers have no right", name)
		}
	}
	usersFile := filepath.Join(dir, "config", "users")
	if info, err := os.Stat(usersFile); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("the users' file may be read by others: %v %v", info, err)
	}
	if _, err := api.LoadAuth(usersFile, ""); err != nil {
		t.Errorf("users: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "worker-tmp")); err != nil || info.Mode()&os.ModeSticky == 0 || info.Mode().Perm() != 0o777 {
		t.Errorf("the worker cannot write to /tmp: %v %v", info, err)
	}
	owners, err := os.ReadFile(filepath.Join(dir, "owners"))
	if worker := container(t, "worker"); err != nil || !strings.HasPrefix(string(owners), worker["User"].(string)+" ") {
		t.Errorf("owners %q, but the worker runs as %v: %v", owners, worker["User"], err)
	}
}
