// Package pipeline runs the company's whole flow, from the source's tables to the rows in Aurora, with real parts.
package pipeline
