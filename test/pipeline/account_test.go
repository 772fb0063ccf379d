package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Names of what docs/pipeline.md has people make.
const (
	region       = "sa-east-1"
	accountID    = "000000000000"
	clusterName  = "consorcio"
	eventBus     = "consorcio"
	parkingQueue = "consorcio-parking"

	outboxPublisher = "outbox-publisher"
	writer          = "statemachines" // logins of PostgreSQL
	publisher       = "publisher"
)

// machineFiles are the state machines of configs.
var machineFiles = []string{"clientes", "pedidos", "produtos", outboxPublisher}

// account is the company's AWS account, in an emulator that forgets it when it is killed.
type account struct {
	endpoint string
	database string
	kind     string // EXPRESS or STANDARD
	age      string // how long a notification waits for its own execution before OutboxPublisher takes it
	queue    string // URL of the parking queue, once installed
}

// arn is the ARN of a state machine by the name of its file, as the stack of configs/cloudformation names them and the shipped connector
// has them.
func (a *account) arn(file string) string {
	name := "consorcio-" + file
	if file != outboxPublisher {
		name += "-" + strings.ToLower(a.kind)
	}
	return fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s", region, accountID, name)
}

// install makes what steps 3 and 4 of docs/pipeline.md make with the aws command.
func (a *account) install(ctx context.Context) error {
	secret := func(user string) (string, error) {
		var made struct{ ARN string }
		err := a.call(ctx, "secretsmanager", "secretsmanager.CreateSecret", map[string]any{
			"Name": "consorcio/aurora/" + user, "SecretString": fmt.Sprintf(`{"username":%q,"password":"any: the server trusts this machine"}`, user),
			"ClientRequestToken": "00000000-0000-0000-0000-000000000000",
		}, &made)
		return made.ARN, err
	}
	writerSecret, err := secret(writer)
	if err != nil {
		return err
	}
	publisherSecret, err := secret(publisher)
	if err != nil {
		return err
	}
	if err := a.call(ctx, "events", "AWSEvents.CreateEventBus", map[string]any{"Name": eventBus}, nil); err != nil {
		return err
	}
	var queue struct{ QueueURL string }
	if err := a.call(ctx, "sqs", "AmazonSQS.CreateQueue", map[string]any{"QueueName": parkingQueue}, &queue); err != nil {
		return err
	}
	a.queue = queue.QueueURL
	for _, file := range machineFiles {
		kind := a.kind
		if file == outboxPublisher {
			kind = "STANDARD"
		}
		text, err := os.ReadFile("../../configs/statemachines/" + file + ".asl.json")
		if err != nil {
			return err
		}
		definition := strings.NewReplacer(
			"${ClusterArn}", fmt.Sprintf("arn:aws:rds:%s:%s:cluster:%s", region, accountID, clusterName), "${Database}", a.database,
			"${WriterSecretArn}", writerSecret, "${PublisherSecretArn}", publisherSecret, "${ParkingQueueUrl}", a.queue, "${EventBusName}", eventBus,
			"${OutboxAge}", a.age, "${ExecutionType}", kind).Replace(string(text))
		if i := strings.Index(definition, "${"); i >= 0 {
			return fmt.Errorf("%s has a substitution that the test does not know: %.40s", file, definition[i:])
		}
		var made struct{ StateMachineARN string }
		err = a.call(ctx, "states", "AWSStepFunctions.CreateStateMachine", map[string]any{
			"name": a.arn(file)[strings.LastIndex(a.arn(file), ":")+1:], "type": kind, "roleArn": "arn:aws:iam::" + accountID + ":role/consorcio-states", "definition": definition,
		}, &made)
		if err != nil {
			return err
		}
		if made.StateMachineARN != a.arn(file) {
			return fmt.Errorf("state machine %s has the ARN %s", file, made.StateMachineARN)
		}
	}
	return nil
}

// errAWS is an answer of AWS that is no success; its text holds the answer.
var errAWS = errors.New("AWS refuses")

// call calls an operation of a service that speaks JSON. into may be nil.
func (a *account) call(ctx context.Context, service, target string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=test/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=0", region, service))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w: %s %s", target, errAWS, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answers %s: %w", target, text, err)
	}
	return nil
}

// ended is how an execution ended.
type ended struct{ Status, Output, Error, Cause string }

// execute runs a state machine while the call waits, as stepconnect does with Express.
func (a *account) execute(ctx context.Context, file, input string) (ended, error) {
	var e ended
	err := a.call(ctx, "states", "AWSStepFunctions.StartSyncExecution", map[string]any{"stateMachineArn": a.arn(file), "input": input}, &e)
	return e, err
}

// publish runs OutboxPublisher.
func (a *account) publish(ctx context.Context) error {
	return a.call(ctx, "states", "AWSStepFunctions.StartExecution", map[string]any{"stateMachineArn": a.arn(outboxPublisher), "input": "{}"}, nil)
}

// unpark executes again what waits in the parking queue, as docs/pipeline.md says, and tells how much that was.
func (a *account) unpark(ctx context.Context) (int, error) {
	for n := 0; ; {
		var received struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		err := a.call(ctx, "sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": a.queue, "MaxNumberOfMessages": 10}, &received)
		if err != nil || len(received.Messages) == 0 {
			return n, err
		}
		for _, m := range received.Messages {
			var input struct{ Domain string }
			if err := json.Unmarshal([]byte(m.Body), &input); err != nil {
				return n, fmt.Errorf("parked: %s: %w", m.Body, err)
			}
			if err := a.call(ctx, "states", "AWSStepFunctions.StartExecution", map[string]any{"stateMachineArn": a.arn(input.Domain), "input": m.Body}, nil); err != nil {
				return n, err
			}
			if err := a.call(ctx, "sqs", "AmazonSQS.DeleteMessage", map[string]any{"QueueUrl": a.queue, "ReceiptHandle": m.ReceiptHandle}, nil); err != nil {
				return n, err
			}
			n++
		}
	}
}
