package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheConfigurationReferenceIsWhatTheCodeDeclares(t *testing.T) {
	var want bytes.Buffer
	if err := writeConfigReference(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/CONFIG.md is stale: run make docs")
	}
}
