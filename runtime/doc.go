// Package runtime is a worker's control path and what it runs: a Herder answers for the state of connectors, which is a
// fold of a log, plans or follows a plan of who runs what, and tells a Worker what should run; the Worker makes it so
// and publishes what it sees.
//
//	request ─► Herder.update ─► config log ─► view ─► (leader) Plan ─► plan log ─► Worker.Apply ─► reconcile ─► statuses
//
// Alone, a worker has its logs in memory and plans for itself. In a cluster the logs are topics, and who holds the
// office of the workers' group (Membership) is the only one that writes the first two.
package runtime
