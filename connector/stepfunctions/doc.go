// Package stepfunctions is the StepFunctionsSink: it starts, for each Debezium change event, an
// execution of the state machine of the domain that the change belongs to.
//
// # Routes
//
// A change goes to the first domain, in the order of domains, whose topics and tables and
// operations all take it; a list that is not set takes everything. What none takes goes to
// default.domain if that one takes the operation. The rest is filtered and counted by the
// reason that came closest: topic, table or operation. Tombstones are filtered. Topics are
// matched as transforms left them; inputs and names hold the consumed ones.
//
// # Calls
//
// Cut encodes changes and divides them; each call becomes one execution. Standard machines are
// started (StartExecution) under a name that is a pure function of the frozen batch: accepted,
// or refused with ExecutionAlreadyExists, means delivered. Express machines run while the call
// waits (StartSyncExecution): only the status SUCCEEDED means delivered, less the changes that
// the output lists as {"failed":[{"index":0,"error":"…","cause":"…"}]}, which are rejected. Starts are written and
// signed here (start.go); all other calls are the SDK's.
//
// # What an input holds
//
// columns.include, .exclude, .mask and .hash decide by table and column what inputs hold of rows and keys
// (columns.go). The dead letter queue keeps the original bytes, since it must be replayable. A change over the
// limit of an input leaves its largest columns to objects of S3 with oversize.policy=s3 (claim.go): Cut plans
// them, Deliver stores them before the start. Inputs, claims and names are functions of the records and the
// configuration alone.
//
// # How fast
//
// Each start waits for its turn (budget.go): for the task's share of start.rate.limit, and for the pace that AWS
// was seen to allow for the account, the region and the call, which all domains share. A throttled call cuts that
// pace, and it rises again by itself (pace.go).
//
// # As whom
//
// A domain with a role.arn is called with the credentials of that role, in its state machine's region, so
// that one connector serves several accounts (clients.go).
//
// # What becomes of it
//
// Task 0 looks for Standard executions that ended without success after they had been accepted, by full sweeps of
// ListExecutions (outcomes.go). Connector.Preview tells what would become of one record (preview.go).
//
// # When something is wrong
//
//	not an event, wrong types, truncated bytes     rejected: errors.tolerance decides
//	one change over 262,144 bytes                  oversize.policy: columns to S3, rejected, or the task ends
//	S3 does not take a column                      retried: the change is not at fault, and nothing starts before
//	throttled                                      retried with the host's back-off, without limit; the pace is cut
//	no answer, 5xx                                 retried; the name makes a repeat harmless
//	credentials, permissions, KMS, quota           retried slowly (destination.retry.backoff.ms)
//	state machine missing, deleting, other type    retried slowly: this domain waits, visibly; the others go on
//	input refused (InvalidExecutionInput, 413, …)  rejected; the host splits a batch to find the change
//	Express FAILED or TIMED_OUT                    by the error's name: express.errors.retry, .reject, .fatal; what the same
//	                                               input meets every time (States.QueryEvaluationError …) is rejected, and
//	                                               the host splits a batch to find the change
//	nothing but such errors, ten in a row          retried slowly: the state machine is broken, not ten changes
//	Express machine started as Standard            the task ends: its executions could be lost
//
// A state machine that does not exist is not fatal on purpose: it may be deployed a minute
// later, and the task serves other domains meanwhile.
package stepfunctions
