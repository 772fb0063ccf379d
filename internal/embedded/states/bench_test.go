package states_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// handler starts executions without a network: what remains is the endpoint's own cost.
func handler(e *states.Endpoint, arn string, changes int) (func(int), string) {
	keys := make([]int, changes)
	for i := range keys {
		keys[i] = i
	}
	input := inputOf(keys, 0)
	quoted, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	return func(i int) {
		body := fmt.Sprintf(`{"stateMachineArn":%q,"name":"n%d","input":%s}`, arn, i, quoted)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "AWSStepFunctions.StartExecution")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			panic(w.Body.String())
		}
	}, input
}
