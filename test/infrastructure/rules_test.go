package infrastructure

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/test/stack"
)

func TestCfnLintFindsNothing(t *testing.T) {
	args := []string{"--"}
	for _, name := range templateNames(t) {
		args = append(args, "../../configs/cloudformation/"+name+".yaml")
	}
	if out, err := exec.CommandContext(t.Context(), stack.Tools(t)+"/cfn-lint", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// everywhere are the actions that know no resource, each of which may stand beside "*".
var everywhere = []string{
	"ecr:GetAuthorizationToken",
	"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries",
	"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
}

func TestNoRoleMayDoMoreThanItNeeds(t *testing.T) {
	statements := 0
	for _, name := range templateNames(t) {
		for id, r := range load(t, name).Resources {
			each(r.Properties, name+"."+id, func(at string, v any) {
				s, ok := v.(map[string]any)
				if !ok || s["Effect"] != "Allow" || s["Action"] == nil {
					return
				}
				statements++
				for _, action := range listOf(s["Action"]) {
					a := fmt.Sprint(action)
					if strings.Contains(a, "*") {
						t.Errorf("%s allows %s", at, a)
					}
					if s["Resource"] == "*" && !slices.Contains(everywhere, a) {
						t.Errorf("%s allows %s everywhere", at, a)
					}
				}
				if r.Type == "AWS::IAM::Role" && s["Principal"] != nil && s["Condition"] == nil {
					t.Errorf("%s trusts a service whoever it acts for", at)
				}
				if s["Principal"] == "*" {
					t.Errorf("%s allows everybody", at)
				}
			})
		}
	}
	if statements < 20 {
		t.Errorf("only %d statements were seen", statements)
	}
}

func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// TestDataIsEncryptedKeptAndClosed holds each kind of resource to what it must have.
func TestDataIsEncryptedKeptAndClosed(t *testing.T) {
	seen := map[string]int{}
	for _, name := range templateNames(t) {
		tpl := load(t, name)
		for id, r := range tpl.Resources {
			at, p := name+"."+id, r.Properties
			seen[r.Type]++
			switch r.Type {
			case "AWS::S3::Bucket":
				closed, _ := p["PublicAccessBlockConfiguration"].(map[string]any)
				if p["BucketEncryption"] == nil || len(closed) != 4 || slices.Contains(slices.Collect(maps.Values(closed)), any(false)) || p["LifecycleConfiguration"] == nil {
					t.Errorf("%s is not encrypted, closed or has no lifecycle", at)
				}
				policy, ok := tpl.Resources[id+"Policy"]
				if !ok || !strings.Contains(fmt.Sprint(policy.Properties), "aws:SecureTransport:false") {
					t.Errorf("%s may be read without TLS", at)
				}
			case "AWS::SQS::Queue":
				if p["SqsManagedSseEnabled"] != true || p["MessageRetentionPeriod"] != float64(1209600) {
					t.Errorf("%s is not encrypted, or does not keep its messages for 14 days", at)
				}
			case "AWS::Logs::LogGroup":
				if p["RetentionInDays"] == nil {
					t.Errorf("%s keeps logs for ever", at)
				}
			case "AWS::StepFunctions::StateMachine":
				if logging, _ := p["LoggingConfiguration"].(map[string]any); logging["IncludeExecutionData"] != false || logging["Level"] != "ERROR" {
					t.Errorf("%s logs inputs, which hold personal data, or nothing", at)
				}
			case "AWS::RDS::DBCluster":
				if p["StorageEncrypted"] != true || p["EnableHttpEndpoint"] != true || p["DeletionProtection"] != true {
					t.Errorf("%s: %v", at, p)
				}
			case "AWS::CloudWatch::Alarm":
				if p["AlarmActions"] == nil || p["TreatMissingData"] == nil || len(fmt.Sprint(p["AlarmDescription"])) < 40 {
					t.Errorf("%s tells nobody, or not what to do, or not what silence means", at)
				}
			case "AWS::ECS::TaskDefinition":
				closedTask(t, at, p)
			case "AWS::ECS::Service":
				if !strings.Contains(fmt.Sprint(p["NetworkConfiguration"]), "AssignPublicIp:DISABLED") {
					t.Errorf("%s has a public address", at)
				}
			}
			if strings.HasPrefix(r.Type, "AWS::S3::Bucket") && r.Type == "AWS::S3::Bucket" || r.Type == "AWS::SecretsManager::Secret" || r.Type == "AWS::MSK::Cluster" || r.Type == "AWS::SQS::Queue" {
				if r.DeletionPolicy != "Retain" {
					t.Errorf("%s goes with its stack", at)
				}
			}
		}
	}
	for kind, least := range map[string]int{"AWS::S3::Bucket": 2, "AWS::StepFunctions::StateMachine": 7, "AWS::CloudWatch::Alarm": 20, "AWS::ECS::Service": 2} {
		if seen[kind] < least {
			t.Errorf("%d of %s, want %d or more", seen[kind], kind, least)
		}
	}
}

// closedTask holds stepconnect's own containers to a read-only root and no rights; a foreign image may need its own.
func closedTask(t *testing.T, at string, p map[string]any) {
	t.Helper()
	for _, c := range listOf(p["ContainerDefinitions"]) {
		c := c.(map[string]any)
		if c["Name"] == "registry" {
			continue
		}
		if c["ReadonlyRootFilesystem"] != true {
			t.Errorf("%s.%v can write its root file system", at, c["Name"])
		}
		if c["Name"] == "worker" && (c["User"] != "65532:65532" || !strings.Contains(fmt.Sprint(c["LinuxParameters"]), "Drop:[ALL]") || c["HealthCheck"] == nil) {
			t.Errorf("%s.%v runs as root, keeps capabilities or has no health check", at, c["Name"])
		}
	}
}

func TestTheWorkersRightsOnTopicsAreThoseOfTheShippedPolicy(t *testing.T) {
	tpl := load(t, "stepconnect")
	cluster := "arn:aws:kafka:sa-east-1:000000000000:cluster/consorcio/11111111-2222-3333-4444-555555555555-5"
	rendered := account(names{"ClusterArn": cluster}).render(t, tpl, tpl.Resources["TopicsPolicy"].Properties["PolicyDocument"])
	b, err := json.Marshal(rendered)
	if err != nil {
		t.Fatal(err)
	}
	// The shipped policy is for any cluster of the name.
	got := strings.ReplaceAll(string(b), "consorcio/11111111-2222-3333-4444-555555555555-5", "consorcio/*")
	var have, want any
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text(t, "kafka/msk-policy.json")), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("stepconnect.yaml and kafka/msk-policy.json differ (-policy +template):\n%s", diff)
	}
}

func TestTheWorkersMayStartExactlyTheSixMachines(t *testing.T) {
	tpl := load(t, "statemachines")
	n := account(nil)
	machines := map[string]string{} // id by type
	for id, r := range tpl.Resources {
		if r.Type == "AWS::StepFunctions::StateMachine" {
			n[id] = id
			machines[id] = fmt.Sprint(r.Properties["StateMachineType"])
		}
	}
	delete(machines, "OutboxPublisher")
	policy := n.render(t, tpl, tpl.Resources["StarterPolicy"].Properties["PolicyDocument"]).(map[string]any)
	allowed := map[string][]string{}
	for _, s := range policy["Statement"].([]any) {
		s := s.(map[string]any)
		for _, action := range listOf(s["Action"]) {
			for _, machine := range listOf(s["Resource"]) {
				allowed[machine.(string)] = append(allowed[machine.(string)], action.(string))
			}
		}
	}
	want := map[string][]string{}
	for id, kind := range machines {
		want[id] = []string{"states:StartSyncExecution", "states:DescribeStateMachine"}
		if kind == "STANDARD" {
			want[id] = []string{"states:StartExecution", "states:ListExecutions", "states:DescribeStateMachine"}
		}
	}
	if diff := cmp.Diff(want, allowed); diff != "" || len(want) != 6 {
		t.Errorf("%d machines: %s", len(want), diff)
	}
}

// TestBothKindsOfAMachineAreOneDefinition and get every substitution that it has, and none that it has not.
func TestBothKindsOfAMachineAreOneDefinition(t *testing.T) {
	tpl := load(t, "statemachines")
	n := account(names{"DefinitionsPrefix": "statemachines", "export consorcio-ArtifactsBucket": "b"})
	kinds := map[string][]string{}
	for id, r := range tpl.Resources {
		if r.Type != "AWS::StepFunctions::StateMachine" {
			continue
		}
		location := n.render(t, tpl, r.Properties["DefinitionS3Location"]).(map[string]any)
		file := location["Key"].(string)
		kinds[file] = append(kinds[file], r.Properties["StateMachineType"].(string))
		given := r.Properties["DefinitionSubstitutions"].(map[string]any)
		definition := text(t, file+"")
		for name := range given {
			if !strings.Contains(definition, "${"+name+"}") {
				t.Errorf("%s gives %s, which %s does not have", id, name, file)
			}
		}
		for _, part := range strings.Split(definition, "${")[1:] {
			name, _, _ := strings.Cut(part, "}")
			if given[name] == nil {
				t.Errorf("%s does not give %s of %s", id, name, file)
			}
		}
		if kind, ok := given["ExecutionType"]; ok && kind != r.Properties["StateMachineType"] {
			t.Errorf("%s is %v and is told that it is %v", id, r.Properties["StateMachineType"], kind)
		}
	}
	for _, k := range kinds {
		slices.Sort(k)
	}
	want := map[string][]string{"statemachines/outbox-publisher.asl.json": {"STANDARD"}}
	for _, d := range []string{"clientes", "pedidos", "produtos"} {
		want["statemachines/"+d+".asl.json"] = []string{"EXPRESS", "STANDARD"}
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsWatchedOfStepconnectIsWhatItWrites holds the alarms and the dashboard to the generated table of metrics.
func TestWhatIsWatchedOfStepconnectIsWhatItWrites(t *testing.T) {
	document, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(document), "\n## CloudWatch\n")
	written := map[string]string{} // dimension by name
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| \\w+ \\| (\\w+) \\|").FindAllStringSubmatch(table, -1) {
		written[m[1]] = m[2]
	}
	tpl := load(t, "monitoring")
	watched := 0
	check := func(at, metric, dimension string) {
		watched++
		if written[metric] != dimension {
			t.Errorf("%s watches %s of %s; docs/METRICS.md has it of %q", at, metric, dimension, written[metric])
		}
	}
	for id, r := range tpl.Resources {
		if r.Properties["Namespace"] == "StepConnect" {
			d := listOf(r.Properties["Dimensions"])[0].(map[string]any)
			check(id, r.Properties["MetricName"].(string), d["Name"].(string))
		}
	}
	body := tpl.Resources["Dashboard"].Properties["DashboardBody"].(map[string]any)["Fn::Sub"].([]any)[0].(string)
	for _, m := range regexp.MustCompile(`\["StepConnect","(\w+)","(\w+)"`).FindAllStringSubmatch(body, -1) {
		check("Dashboard", m[1], m[2])
	}
	if watched < 15 {
		t.Errorf("only %d metrics are watched", watched)
	}
}
