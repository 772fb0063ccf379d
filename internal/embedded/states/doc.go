// Package states is an in-process AWS Step Functions endpoint for the demo and the tests: the JSON 1.0
// protocol over HTTP, strict where a sink can go wrong, and with a log of its own that says afterwards
// what every client did. It never executes a state machine: a [Machine] says how its executions end.
//
// StartExecution, StartSyncExecution, DescribeStateMachine, DescribeExecution, ListExecutions and
// StopExecution are answered; every other action is an UnknownOperationException. The rules are those of
// the service model (2016-11-23) and the API reference; error codes and messages are those recorded from
// AWS in the snapshots of LocalStack's test suite and in wolfeidau/buildkite-serverless-agent#37, as far
// as these go. Nothing here was compared with AWS itself. The order of checks of a start and the
// namespaces in "__type" are from the tests of another emulator, which says that it measured them:
//
//   - constraints of the model first (ValidationException: name over 80 characters, input over 262,144
//     bytes of UTF-8, a missing ARN), then the ARN, then the state machine, then the name's characters
//     (InvalidName) and the input's JSON (InvalidExecutionInput);
//   - Standard: same name and byte-identical input while RUNNING returns the first answer; any other
//     repeat within 90 days of closing is ExecutionAlreadyExists; after that the name is free;
//   - Express: names repeat, each call is an execution with an express ARN that cannot be described,
//     listed or stopped; StartSyncExecution on a Standard machine is StateMachineTypeNotSupported;
//   - token buckets per call, shared by all machines; a repeat spends a token too.
//
// # The log
//
// Every call is one [Call], in order of arrival. [Verify] is a pure function over such a log: which
// changes have no execution or more than one, which keys went backwards, which calls held one key at the
// same time. Order is told by a counter of events (Call.Seq, Call.Effect, Call.End), not by clocks.
//
// # Known differences from AWS
//
//   - One endpoint serves all regions and accounts, and never checks a signature; with RequireAuth it
//     checks that one is present and well formed. AccessDenied comes only from a fault.
//   - Definitions are not executed; output, status and duration are given by [Run]. No history,
//     redrive, map runs, activities, tags, or calls that create machines: use [Endpoint.SetMachine].
//   - ListExecutions and DescribeStateMachine are consistent at once; at AWS they lag.
//   - StartSyncExecution is answered under every host name, not only under the prefix "sync-".
//   - Executions stay listed for ever; AWS forgets them 90 days after they closed.
//   - An alias routes by turns in the ratio of its weights; AWS draws at random. That a name is unique
//     over all versions and aliases of a machine is AWS's rule; that an idempotent repeat may come
//     through another alias is assumed.
//   - DescribeStateMachine by an alias answers with the alias's ARN, and StopExecution of a closed
//     execution with its stop date: assumed, not recorded.
//   - The text after "Invalid State Machine Execution Input:" is Go's, not Jackson's. The messages of
//     InvalidToken, StateMachineDeleting, of ARNs of the wrong service or length, of Map states and of
//     incomplete signatures are made up; so are the names of errors outside the model where AWS's pages
//     give more than one (MissingAuthenticationTokenException, InternalFailure).
//   - A body over 1 MiB is 413 RequestEntityTooLargeException: the status is AWS's, the name assumed.
//   - Member names of a request match without regard to case.
//   - Without [KeepInputs], DescribeExecution answers inputDetails.included = false.
//   - A client that goes away is noticed while its call waits, or when the answer cannot be written; an
//     answer that fits the kernel's buffers of a connection cut a moment ago counts as sent.
package states
