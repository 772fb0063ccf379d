package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"syscall"
)

const registryName = "apicurio registry 3.3.3"

// registry sets up and starts an Apicurio registry. Its Addr is the URL of Confluent's API.
// Its schemas are in files, so a restarted one knows the same ids.
func (s *setup) registry(ctx context.Context) (*Server, error) {
	app, err := s.install(ctx, "registry.xml", s.archive)
	if err != nil {
		return nil, err
	}
	java, err := s.java(ctx)
	if err != nil {
		return nil, err
	}
	return openServer(ctx, registryName, 2, func(dir string, ports []*port) (*Server, error) {
		url := "http://" + ports[0].addr() + "/apis/ccompat/v7"
		argv := append(append([]string{java}, jvmFlags...),
			"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port="+ports[0].String(),
			"-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port="+ports[1].String(),
			"-Dquarkus.http.access-log.enabled=false", "-Dquarkus.log.level=WARN",
			"-Dapicurio.storage.kind=sql", "-Dapicurio.storage.sql.kind=h2",
			"-Dapicurio.datasource.url=jdbc:h2:file:"+filepath.Join(dir, "schemas")+";WRITE_DELAY=0", // what was answered survives kill -9
			"-jar", filepath.Join(app, "quarkus-run.jar"))
		return &Server{addr: url, spec: spec{
			argv:  argv,
			ready: func(ctx context.Context) error { return answers(ctx, url+"/subjects") },
			stop:  syscall.SIGTERM,
		}}, nil
	})
}

// answers is nil once a GET of url gives 200.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s gives %s", url, resp.Status)
	}
	return nil
}
