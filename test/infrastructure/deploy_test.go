package infrastructure

import (
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/stepconnect/stepconnect/configs"
	"github.com/stepconnect/stepconnect/test/stack"
)

// undeployable are the kinds of resources that the emulator does not know; docs/pipeline.md names them. cfn-lint alone checks
// them, against AWS's own schemas.
var undeployable = regexp.MustCompile(`^AWS::(MSK|KafkaConnect|ApplicationAutoScaling|EC2::SecurityGroupIngress)(::|$)`)

// deployable tells whether the emulator can make a resource. It knows no alarms on expressions either.
func deployable(r resource) bool {
	return !undeployable.MatchString(r.Type) && (r.Type != "AWS::CloudWatch::Alarm" || r.Properties["Metrics"] == nil)
}

// trial is a copy of the repository's files as somebody installs them, with programs of the test's own beside it.
type trial struct {
	dir, endpoint string
	env           []string
}

// programs stand in the place of what the machine that installs has: each notes how it was called.
var programs = map[string]string{
	// The emulator has no brokers; what else there is goes to it.
	"aws": `case "$1 $2" in
"kafka get-bootstrap-brokers") echo b-1.consorcio.example:9098,b-2.consorcio.example:9098 ;;
"ecr get-login-password") echo secret ;;
"stepfunctions start-sync-execution") note "$0" "$@" ;;
# The real one, but that it asks after a stack each half second, not each half minute.
*) exec "$TOOLS/python3" -c 'import sys, time
pause = time.sleep
time.sleep = lambda s: pause(min(s, 0.5))
from awscli.clidriver import main
sys.exit(main())' "$@" ;;
esac`,
	"curl":             `note "$0" "$@"`,
	"docker":           `[ "$1" != login ] || cat >/dev/null; note "$0" "$@"`,
	"psql":             `note "$0" "$@" "$(if [ ! -t 0 ] && ! printf '%s\n' "$@" | grep -qxE -- '-f|-c'; then cat; fi)"`,
	"sqlcmd":           `cat "$SQL_ANSWER"`,
	"kafka-topics.sh":  `note "$0" "$@"`,
	"kafka-configs.sh": `note "$0" "$@"`,
	"htpasswd":         `printf 'admin:$2y$05$abcdefghijklmnopqrstuuO3cLyfBJOUXjNIVrhtbAOLXZHyNeZ6y\n'`,
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	tools, endpoint := stack.Tools(t), stack.PrivateMinistack(t).Addr()
	tr := &trial{dir: t.TempDir(), endpoint: endpoint}
	if err := os.CopyFS(filepath.Join(tr.dir, "configs"), configs.Files); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(tr.dir, "schemas"), os.DirFS("../../schemas")); err != nil {
		t.Fatal(err)
	}
	for _, name := range templateNames(t) {
		tr.strip(t, name)
	}
	bin := filepath.Join(tr.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	const note = "#!/usr/bin/env bash\nset -euo pipefail\nnote() { local p=${1##*/}; shift; printf '%s\\n' \"$p $*\" >>\"$NOTES\"; }\n"
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(note+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Embedded files have lost their mode.
	err := filepath.WalkDir(filepath.Join(tr.dir, "configs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".sh" {
			return os.Chmod(path, 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.env = []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "TOOLS=" + tools, "NOTES=" + filepath.Join(tr.dir, "notes"), "HOME=" + tr.dir,
		"AWS_ENDPOINT_URL=" + endpoint, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=sa-east-1", "AWS_DEFAULT_REGION=sa-east-1",
		"AWS_MAX_ATTEMPTS=1", "PROJECT=consorcio", "EMAIL=plantao@example.com", "SQLSERVER=sql01.example", "SQL_ANSWER=" + filepath.Join(tr.dir, "answer"),
	}
	tr.network(t)
	return tr
}

// strip takes out of a copy what the emulator cannot deploy. Outputs of it become what a cluster of that name would give; Aurora's
// master secret, which the emulator does not make, is one of the test's.
func (tr *trial) strip(t *testing.T, name string) {
	t.Helper()
	tpl := load(t, name)
	gone := map[string]bool{}
	for id, r := range tpl.Resources {
		if !deployable(r) {
			gone[id] = true
		}
	}
	path := filepath.Join(tr.dir, "configs", "cloudformation", name+".yaml")
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text(t, "cloudformation/"+name+".yaml")), &document); err != nil {
		t.Fatal(err)
	}
	root := document.Content[0]
	for i := 0; i < len(root.Content); i += 2 {
		section := root.Content[i+1]
		switch root.Content[i].Value {
		case "Resources":
			var kept []*yaml.Node
			for j := 0; j < len(section.Content); j += 2 {
				if !gone[section.Content[j].Value] {
					kept = append(kept, section.Content[j], section.Content[j+1])
				}
			}
			section.Content = kept
		case "Outputs":
			for j := 0; j < len(section.Content); j += 2 {
				value, literal := section.Content[j+1].Content[1], ""
				switch {
				case value.Tag == "!Ref" && gone[value.Value]:
					literal = "arn:aws:kafka:sa-east-1:000000000000:cluster/consorcio/u"
				case value.Tag == "!GetAtt" && value.Value == "Cluster.MasterUserSecret.SecretArn":
					literal = "master"
				default:
					continue
				}
				*value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: literal}
			}
		}
	}
	// The emulator counts with parameters as the text that they are.
	if tpl.Parameters["MinWorkers"].Default != nil {
		literally(root, "DesiredCount", "2")
	}
	b, err := yaml.Marshal(&document)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// literally gives a key a number in the place of a reference, wherever it stands.
func literally(n *yaml.Node, key, number string) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key {
			*c = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: number}
		}
		literally(c, key, number)
	}
}

// network makes what is there before: a VPC with three subnets and a bastion's group; and the secret that Aurora makes.
func (tr *trial) network(t *testing.T) {
	t.Helper()
	out := tr.bash(t, `aws secretsmanager create-secret --name master --secret-string '{"username": "consorcio_admin", "password": "m"}' >/dev/null
set -- $(aws ec2 create-vpc --cidr-block 10.0.0.0/16 --query Vpc.VpcId --output text)
for i in 1 2 3; do set -- "$@" $(aws ec2 create-subnet --vpc-id "$1" --cidr-block "10.0.$i.0/24" --query Subnet.SubnetId --output text); done
echo "$@" $(aws ec2 create-security-group --group-name bastion --description bastion --vpc-id "$1" --query GroupId --output text)`)
	ids := strings.Fields(out)
	if len(ids) != 5 {
		t.Fatalf("network: %s", out)
	}
	tr.env = append(tr.env, "VPC="+ids[0], "SUBNETS="+strings.Join(ids[1:4], ","), "BASTION_SG="+ids[4])
}

// bash runs a script in the trial's folder, and gives what it prints.
func (tr *trial) bash(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = tr.dir, tr.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s\n%s", err, out, stderr.String(), tr.failedResources(t))
	}
	return string(out)
}

// failedResources says what CloudFormation could not make, and why.
func (tr *trial) failedResources(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `for s in $(aws cloudformation list-stacks --query 'StackSummaries[].StackName' --output text); do
aws cloudformation describe-stack-events --stack-name "$s" --output text --query "StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]"; done`)
	cmd.Dir, cmd.Env = tr.dir, tr.env
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// aws asks the emulator.
func (tr *trial) aws(t *testing.T, into any, command string) {
	t.Helper()
	if err := json.Unmarshal([]byte(tr.bash(t, "aws "+command+" --output json")), into); err != nil {
		t.Fatalf("aws %s: %v", command, err)
	}
}

// ask calls an operation of a service that speaks JSON, which is quicker than the command line.
func (tr *trial) ask(t *testing.T, operation, request string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tr.endpoint, strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	service := map[string]string{"AWSStepFunctions": "states"}[strings.SplitN(operation, ".", 2)[0]]
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", operation)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/sa-east-1/"+stdcmp.Or(service, "secretsmanager")+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", operation, resp.Status, body, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
}

var block = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commands are the document's commands, in order. A block with … in it is for people to fill in.
func commands(t *testing.T) []string {
	t.Helper()
	document, err := os.ReadFile("../../docs/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	install, _, _ := strings.Cut(string(document), "\n# What becomes of which change")
	var out []string
	for _, m := range block.FindAllStringSubmatch(install, -1) {
		if !strings.Contains(m[1], "…") {
			out = append(out, m[1])
		}
	}
	return out
}

var deploy = regexp.MustCompile(`(?s)aws cloudformation deploy.*?--template-file configs/cloudformation/(\w+)\.yaml(.*?)(?:[^\\]\n|$)`)

func TestTheDocumentDeploysEveryTemplateWithParametersThatItHasAndAllThatItWants(t *testing.T) {
	var deployed []string
	for _, c := range commands(t) {
		for _, m := range deploy.FindAllStringSubmatch(c, -1) {
			name := m[1]
			deployed = append(deployed, name)
			tpl := load(t, name)
			_, overrides, _ := strings.Cut(m[2], "--parameter-overrides")
			given := map[string]bool{}
			for _, f := range strings.Fields(strings.ReplaceAll(overrides, "\\\n", " ")) {
				key, _, ok := strings.Cut(f, "=")
				if _, known := tpl.Parameters[key]; !known || !ok {
					t.Errorf("%s.yaml has no parameter %s", name, f)
				}
				given[key] = true
			}
			for p, d := range tpl.Parameters {
				if d.Default == nil && !given[p] {
					t.Errorf("%s.yaml wants %s, which the document does not give", name, p)
				}
			}
			named := false
			iam := false
			for _, r := range tpl.Resources {
				iam = iam || strings.HasPrefix(r.Type, "AWS::IAM::")
				named = named || r.Properties["ManagedPolicyName"] != nil
			}
			switch {
			case named && !strings.Contains(m[0], "CAPABILITY_NAMED_IAM"), iam && !strings.Contains(m[0], "_IAM"):
				t.Errorf("%s.yaml makes rights, and the command does not say that it may", name)
			}
		}
	}
	slices.Sort(deployed)
	if diff := cmp.Diff(templateNames(t), deployed); diff != "" {
		t.Error(diff)
	}
}

func TestTheDocumentsCommandsInstallThePipeline(t *testing.T) {
	tr := newTrial(t)
	if err := os.WriteFile(filepath.Join(tr.dir, "debezium-sqlserver.zip"), []byte("PK"), 0o644); err != nil {
		t.Fatal(err)
	}
	tr.bash(t, "git init -q . && git -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m t\n"+strings.Join(commands(t), ""))

	for _, name := range []string{"foundation", "kafka", "aurora", "registry", "statemachines", "stepconnect", "debezium", "monitoring"} {
		var stack struct {
			Stacks []struct{ StackStatus string }
		}
		tr.aws(t, &stack, "cloudformation describe-stacks --stack-name consorcio-"+name)
		if got := stack.Stacks[0].StackStatus; got != "CREATE_COMPLETE" {
			t.Errorf("%s: %s", name, got)
		}
	}
	t.Run("the machines are what the files say", func(t *testing.T) { machinesAreDeployed(t, tr) })
	t.Run("the connector's configuration names what was deployed", func(t *testing.T) { connectorNames(t, tr) })
	t.Run("the alarms and the dashboard are there", func(t *testing.T) { alarmsAreDeployed(t, tr) })
	t.Run("the logins have the passwords of the secrets", func(t *testing.T) { loginsAreMade(t, tr) })
	t.Run("the document can be gone through again", func(t *testing.T) {
		if got := tr.bash(t, commands(t)[1]); !strings.Contains(got, "No changes to deploy") {
			t.Errorf("%s", got)
		}
	})
	t.Run("the source's health becomes a metric", func(t *testing.T) { healthIsPublished(t, tr) })
}

func machinesAreDeployed(t *testing.T, tr *trial) {
	var list struct {
		StateMachines []struct{ StateMachineArn, Name, Type string }
	}
	tr.ask(t, "AWSStepFunctions.ListStateMachines", "{}", &list)
	kinds := map[string]string{}
	for _, m := range list.StateMachines {
		kinds[m.Name] = m.Type
		var d struct{ Definition string }
		tr.ask(t, "AWSStepFunctions.DescribeStateMachine", `{"stateMachineArn":"`+m.StateMachineArn+`"}`, &d)
		if strings.Contains(d.Definition, "${") || !json.Valid([]byte(d.Definition)) {
			t.Errorf("%s: a definition with a substitution that nobody made: %s", m.Name, d.Definition)
		}
		if strings.HasPrefix(m.Name, "consorcio-clientes") && !strings.Contains(d.Definition, "'"+m.Type+"' = 'EXPRESS'") {
			t.Errorf("%s is %s and is not told so", m.Name, m.Type)
		}
	}
	want := map[string]string{"consorcio-outbox-publisher": "STANDARD"}
	for _, d := range []string{"clientes", "pedidos", "produtos"} {
		want["consorcio-"+d+"-express"], want["consorcio-"+d+"-standard"] = "EXPRESS", "STANDARD"
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	var schedule struct {
		ScheduleExpression string
		Target             struct{ Arn string }
	}
	tr.aws(t, &schedule, "scheduler get-schedule --name consorcio-outbox")
	if schedule.ScheduleExpression != "rate(1 minute)" || !strings.HasSuffix(schedule.Target.Arn, ":consorcio-outbox-publisher") {
		t.Errorf("%+v", schedule)
	}
}

func connectorNames(t *testing.T, tr *trial) {
	b, err := os.ReadFile(filepath.Join(tr.dir, "consorcio.config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	var shipped struct{ Config map[string]string }
	if err := json.Unmarshal([]byte(text(t, "connectors/consorcio.json")), &shipped); err != nil {
		t.Fatal(err)
	}
	// The file's placeholders are what the document deploys, so only these differ.
	want := shipped.Config
	want["oversize.policy"], want["oversize.s3.bucket"] = "s3", "consorcio-claims-000000000000-sa-east-1"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	notes := tr.notes(t)
	if !strings.Contains(notes, "curl -sSf -u admin:") || !strings.Contains(notes, "-X PUT http://stepconnect.consorcio.internal:8083/connectors/consorcio/config ") {
		t.Errorf("the connector was not created:\n%s", notes)
	}
	if !strings.Contains(notes, `curl -sSf -X PUT http://registry.consorcio.internal:8080/apis/ccompat/v7/config -H Content-Type: application/json -d {"compatibility":"BACKWARD"}`) {
		t.Errorf("the compatibility mode was not set:\n%s", notes)
	}
}

func (tr *trial) notes(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(tr.dir, "notes"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func alarmsAreDeployed(t *testing.T, tr *trial) {
	tpl := load(t, "monitoring")
	want := 0
	for _, r := range tpl.Resources {
		if r.Type == "AWS::CloudWatch::Alarm" && deployable(r) {
			want++
		}
	}
	var alarms struct {
		MetricAlarms []struct {
			AlarmName    string
			AlarmActions []string
		}
	}
	tr.aws(t, &alarms, "cloudwatch describe-alarms")
	if len(alarms.MetricAlarms) != want {
		t.Errorf("%d alarms, want %d", len(alarms.MetricAlarms), want)
	}
	for _, a := range alarms.MetricAlarms {
		if len(a.AlarmActions) != 1 || !strings.HasSuffix(a.AlarmActions[0], ":consorcio-errors") {
			t.Errorf("%s tells %v", a.AlarmName, a.AlarmActions)
		}
	}
	var dashboard struct{ DashboardBody string }
	tr.aws(t, &dashboard, "cloudwatch get-dashboard --dashboard-name consorcio")
	var body struct {
		Widgets []struct {
			Type                string
			X, Y, Width, Height int
			Properties          struct {
				Title, Markdown string
				Metrics         [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(dashboard.DashboardBody), &body); err != nil {
		t.Fatalf("%v in %s", err, dashboard.DashboardBody)
	}
	if strings.Contains(dashboard.DashboardBody, "${") || len(body.Widgets) < 15 {
		t.Errorf("%d widgets of %s", len(body.Widgets), dashboard.DashboardBody)
	}
	taken := map[string]string{}
	for _, w := range body.Widgets {
		if w.Type == "metric" && (w.Properties.Title == "" || len(w.Properties.Metrics) == 0) {
			t.Errorf("an empty widget: %+v", w)
		}
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				at := fmt.Sprint(x, ",", y)
				if other, ok := taken[at]; ok || x > 23 {
					t.Fatalf("%s%s lies over %s at %s", w.Properties.Title, w.Properties.Markdown, other, at)
				}
				taken[at] = w.Properties.Title + w.Properties.Markdown
			}
		}
	}
}

func loginsAreMade(t *testing.T, tr *trial) {
	notes := tr.notes(t)
	for secret, login := range map[string]string{
		"writer": "CREATE ROLE statemachines LOGIN PASSWORD '%s' IN ROLE consorcio_writer;", "publisher": "CREATE ROLE publisher LOGIN PASSWORD '%s' IN ROLE consorcio_publisher;",
		"registry": "CREATE ROLE registry LOGIN PASSWORD '%s';",
	} {
		var got struct{ SecretString string }
		tr.ask(t, "secretsmanager.GetSecretValue", `{"SecretId":"consorcio/aurora/`+secret+`"}`, &got)
		var value struct{ Password string }
		if err := json.Unmarshal([]byte(got.SecretString), &value); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(login, value.Password); len(value.Password) != 40 || !strings.Contains(notes, want) {
			t.Errorf("%s was not sent to psql, or %q is no password of 40 letters and digits:\n%s", login, value.Password, notes)
		}
	}
	if got := strings.Count(notes, "psql -v ON_ERROR_STOP=1 --single-transaction -f schemas/aurora/"); got != 8 {
		t.Errorf("%d migrations were applied, want 8", got)
	}
}

func healthIsPublished(t *testing.T, tr *trial) {
	publish := func(answer string) (string, error) {
		if err := os.WriteFile(filepath.Join(tr.dir, "answer"), []byte(answer), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(tr.dir, "configs/sqlserver/publish-health.sh"))
		cmd.Dir, cmd.Env = tr.dir, append(slices.Clone(tr.env), "SQLCMDSERVER=sql01", "SQLCMDDBNAME=ConsorcioDB")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const good = "cdc enabled|1|0|\nSQL Server Agent|Running|0|\ncapture job latency in s|7|0|\n"
	out, err := publish(good + "log waits for|REPLICATION|1|see the latency\ncapture instances of Clientes|2|1|finish 05-evolve-table.sql\n")
	if err != nil || !strings.Contains(out, "log waits for: REPLICATION: see the latency") {
		t.Fatalf("%v: %s", err, out)
	}
	var statistics struct{ Datapoints []struct{ Maximum float64 } }
	value := func(metric string) float64 {
		t.Helper()
		tr.aws(t, &statistics, "cloudwatch get-metric-statistics --namespace Consorcio --metric-name "+metric+
			` --statistics Maximum --period 3600 --start-time "$(date -u -d '-1 hour' +%FT%TZ)" --end-time "$(date -u -d '+1 hour' +%FT%TZ)"`)
		if len(statistics.Datapoints) == 0 {
			t.Fatalf("%s was not sent", metric)
		}
		return statistics.Datapoints[0].Maximum
	}
	if got := value("CdcProblems"); got != 2 {
		t.Errorf("CdcProblems = %v, want 2", got)
	}
	if got := value("CdcLatencySeconds"); got != 7 {
		t.Errorf("CdcLatencySeconds = %v, want 7", got)
	}
	for name, answer := range map[string]string{
		"an error of SQL Server": "Msg 208, Level 16, State 1\nInvalid object name 'cdc.change_tables'.\n", "nothing": "",
		"a line of another form": good + "log waits for|REPLICATION\n",
	} {
		if out, err := publish(answer); err == nil {
			t.Errorf("%s is good news: %s", name, out)
		}
	}
}
