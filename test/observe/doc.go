// Package observe holds what a cluster is watched with against the real thing: names against promtool, alerts against series
// that raise them, dashboards against a live worker's metrics in a real Prometheus.
package observe
