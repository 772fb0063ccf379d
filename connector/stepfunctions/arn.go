package stepfunctions

import (
	"errors"
	"fmt"
	"strings"
)

// stateMachineARN is the ARN of a state machine, of a version or of an alias:
//
//	arn:aws:states:sa-east-1:000000000000:stateMachine:Clientes[:7|:PROD]
type stateMachineARN struct {
	text    string // as configured: what executions are started with
	region  string
	account string
	machine string // without version or alias
}

func (a stateMachineARN) String() string { return a.text }

// parseARN reads the ARN of something that can be started.
func parseARN(text string) (stateMachineARN, error) {
	const form = "arn:<partition>:states:<region>:<account>:stateMachine:<name>[:<version or alias>]"
	part := strings.Split(text, ":")
	if len(part) < 7 || part[0] != "arn" || part[2] != "states" {
		return stateMachineARN{}, fmt.Errorf("%q is no ARN of a state machine: expected %s", text, form)
	}
	switch part[5] {
	case "stateMachine":
	case "express", "execution":
		return stateMachineARN{}, fmt.Errorf("%q is the ARN of an execution, which cannot be started: expected %s", text, form)
	default:
		return stateMachineARN{}, fmt.Errorf("%q is the ARN of a %s: expected %s", text, part[5], form)
	}
	if strings.Contains(part[6], "/") {
		return stateMachineARN{}, fmt.Errorf("%q is the ARN of a Distributed Map inside a state machine, which StartExecution refuses: expected %s", text, form)
	}
	if len(part) > 8 {
		return stateMachineARN{}, fmt.Errorf("%q has more parts than %s", text, form)
	}
	if err := checkARNParts(part); err != nil {
		return stateMachineARN{}, fmt.Errorf("%q: %w: expected %s", text, err, form)
	}
	return stateMachineARN{text: text, region: part[3], account: part[4], machine: strings.Join(part[:7], ":")}, nil
}

func checkARNParts(part []string) error {
	for i, name := range [...]string{"", "partition", "", "region", "account", "", "name", "version or alias"} {
		if i >= len(part) {
			break
		}
		if part[i] == "" {
			return fmt.Errorf("the %s is empty", name)
		}
		if strings.ContainsAny(part[i], " \t\r\n*?") {
			return fmt.Errorf("the %s holds a blank or a wildcard", name)
		}
	}
	if len(part[4]) != 12 || strings.Trim(part[4], "0123456789") != "" {
		return errors.New("the account is not 12 digits")
	}
	return nil
}
