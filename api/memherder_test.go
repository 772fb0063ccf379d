package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime"
)

// memHerder is a control plane in memory that follows Kafka Connect's rules as far as the REST API
// can see them; its tasks run at once and consume nothing.
type memHerder struct {
	mu         sync.Mutex // guards all below
	connectors map[string]*memConnector
	loggers    map[string]runtime.LoggerLevel

	letterQuery   runtime.LetterQuery // the last ones
	letterRequest runtime.LetterRequest
}

type memConnector struct {
	config  map[string]*string
	target  string
	tasks   int
	offsets []runtime.PartitionOffset
}

const memClass = "org.apache.kafka.connect.file.FileStreamSinkConnector"

func newMemHerder() *memHerder {
	return &memHerder{connectors: map[string]*memConnector{}, loggers: map[string]runtime.LoggerLevel{"root": {Level: "INFO"}}}
}

func (m *memHerder) ServerInfo(context.Context) (runtime.ServerInfo, error) {
	return runtime.ServerInfo{Version: "1.2.3", Commit: "abc", ClusterID: "cluster"}, nil
}

func (m *memHerder) Health(context.Context) runtime.Health {
	return runtime.Health{Status: "healthy", Message: "Worker has completed startup and is ready to handle requests."}
}

func (m *memHerder) ConnectorFiles(context.Context) (runtime.ConnectorFiles, error) {
	return runtime.ConnectorFiles{Files: []runtime.ConnectorFileStatus{}}, nil
}

func (m *memHerder) Started(context.Context) error { return nil }
func (m *memHerder) Stage() string                 { return "" }

func (m *memHerder) Connectors(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.connectors)), nil
}

// of gives a connector, or the 404 in the words of the endpoint.
func (m *memHerder) of(name, words string) (*memConnector, error) {
	if c, ok := m.connectors[name]; ok {
		return c, nil
	}
	return nil, runtime.NotFound(words, name)
}

const notFound, unknown, unknownColon = "Connector %s not found", "Unknown connector %s", "Unknown connector: %s"

func (m *memHerder) info(name string, c *memConnector) runtime.ConnectorInfo {
	out := runtime.ConnectorInfo{Name: name, Config: map[string]*string{}, Tasks: []runtime.TaskID{}, Type: "sink"}
	for k, v := range c.config {
		if out.Config[k] = v; v != nil && config.LooksSecret(k) {
			hidden := config.Hidden
			out.Config[k] = &hidden
		}
	}
	for i := range c.tasks {
		out.Tasks = append(out.Tasks, runtime.TaskID{Connector: name, Task: i})
	}
	return out
}

func (m *memHerder) Connector(_ context.Context, name string) (runtime.ConnectorInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, notFound)
	if err != nil {
		return runtime.ConnectorInfo{}, err
	}
	return m.info(name, c), nil
}

func (m *memHerder) Create(_ context.Context, req runtime.CreateRequest) (runtime.ConnectorInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	req.Name = config.Trim(req.Name)
	if err := named(req.Name, req.Config); err != nil {
		return runtime.ConnectorInfo{}, err
	}
	if err := checkConfig(req.Config); err != nil {
		return runtime.ConnectorInfo{}, err
	}
	if _, exists := m.connectors[req.Name]; exists {
		return runtime.ConnectorInfo{}, runtime.Conflict("Connector %s already exists", req.Name)
	}
	c := &memConnector{config: req.Config, target: req.InitialState}
	if c.target == "" {
		c.target = "RUNNING"
	}
	m.connectors[req.Name] = c
	info := m.info(req.Name, c)
	c.start()
	return info, nil
}

// start makes the tasks of a running connector.
func (c *memConnector) start() {
	if c.target != "RUNNING" {
		return
	}
	c.tasks = 1
	if v := c.config["tasks.max"]; v != nil {
		c.tasks, _ = strconv.Atoi(*v)
	}
}

func (m *memHerder) PutConfig(ctx context.Context, name string, cfg map[string]*string) (runtime.ConnectorInfo, bool, error) {
	m.mu.Lock()
	_, exists := m.connectors[name]
	m.mu.Unlock()
	if !exists {
		info, err := m.Create(ctx, runtime.CreateRequest{Name: name, Config: cfg})
		return info, true, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(named(name, cfg), checkConfig(cfg)); err != nil {
		return runtime.ConnectorInfo{}, false, err
	}
	c := m.connectors[name]
	c.config = cfg
	c.start()
	return m.info(name, c), false, nil
}

func (m *memHerder) PatchConfig(_ context.Context, name string, patch map[string]*string) (runtime.ConnectorInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, notFound)
	if err != nil {
		return runtime.ConnectorInfo{}, err
	}
	cfg := maps.Clone(c.config)
	for k, v := range patch {
		if cfg[k] = v; v == nil {
			delete(cfg, k)
		}
	}
	if err := checkConfig(cfg); err != nil {
		return runtime.ConnectorInfo{}, err
	}
	c.config = cfg
	return m.info(name, c), nil
}

func (m *memHerder) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.of(name, notFound)
	delete(m.connectors, name)
	return err
}

func (m *memHerder) turn(name, target string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, unknown)
	if err != nil {
		return err
	}
	c.target = target
	if target == "STOPPED" {
		c.tasks = 0
	}
	c.start()
	return nil
}

func (m *memHerder) Pause(_ context.Context, name string) error  { return m.turn(name, "PAUSED") }
func (m *memHerder) Resume(_ context.Context, name string) error { return m.turn(name, "RUNNING") }
func (m *memHerder) Stop(_ context.Context, name string) error   { return m.turn(name, "STOPPED") }

func (m *memHerder) Restart(_ context.Context, name string, includeTasks, onlyFailed bool) (*runtime.ConnectorStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, unknownColon)
	if err != nil || !includeTasks && !onlyFailed {
		return nil, err
	}
	st := m.status(name, c)
	if !onlyFailed {
		st.Connector.State = "RESTARTING"
		for i := range st.Tasks {
			st.Tasks[i].State = "RESTARTING"
		}
	}
	return &st, nil
}

func (m *memHerder) RestartTask(_ context.Context, name string, task int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, unknownColon)
	if err == nil && (task < 0 || task >= c.tasks) {
		err = runtime.NotFound("Unknown task: %s-%d", name, task)
	}
	return err
}

func (m *memHerder) status(name string, c *memConnector) runtime.ConnectorStatus {
	state := runtime.StateInfo{State: c.target, WorkerID: "127.0.0.1:8083", Version: "1.2.3"}
	st := runtime.ConnectorStatus{Name: name, Connector: state, Tasks: []runtime.TaskStatus{}, Type: "sink"}
	for i := range c.tasks {
		st.Tasks = append(st.Tasks, runtime.TaskStatus{ID: i, StateInfo: state})
	}
	return st
}

func (m *memHerder) Status(_ context.Context, name string) (runtime.ConnectorStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, "No status found for connector %s")
	if err != nil {
		return runtime.ConnectorStatus{}, err
	}
	return m.status(name, c), nil
}

func (m *memHerder) TaskStatus(ctx context.Context, name string, task int) (runtime.TaskStatus, error) {
	st, err := m.Status(ctx, name)
	if err != nil || task < 0 || task >= len(st.Tasks) {
		return runtime.TaskStatus{}, runtime.NotFound("No status found for task %s-%d", name, task)
	}
	return st.Tasks[task], nil
}

func (m *memHerder) Executions(ctx context.Context, name string, q runtime.ExecutionsQuery) (runtime.Executions, error) {
	if _, err := m.Tasks(ctx, name); err != nil {
		return runtime.Executions{}, err
	}
	at, age, next := time.Unix(60, 0).UTC(), 1.5, fmt.Sprintf("%s-%d-%s", q.Statuses, q.Limit, q.Page)
	return runtime.Executions{
		Executions: []connector.Outcome{{Domain: "clientes", Status: "FAILED", Execution: "e", ARN: "arn", Started: at, Stopped: at}},
		Next:       &next, Counts: map[string]map[string]int{"clientes": {"FAILED": 1}}, SweptAt: &at, SweepAge: &age,
	}, nil
}

func (m *memHerder) Preview(_ context.Context, plugin string, req runtime.PreviewRequest) (runtime.Preview, error) {
	if plugin == "Nope" {
		return runtime.Preview{}, runtime.NotFound("Connector type Nope offers no preview")
	}
	return runtime.Preview{Connector: req.Connector, Record: runtime.PreviewRecord{Topic: req.Topic, Partition: req.Partition, Offset: req.Offset}, Preview: req}, nil
}

func (m *memHerder) Waiting(ctx context.Context, name string) (runtime.Waiting, error) {
	if _, err := m.Tasks(ctx, name); err != nil {
		return runtime.Waiting{}, err
	}
	return runtime.Waiting{
		Waiting:       []runtime.WaitingRecord{{WorkerID: "a:8083", Topic: "t", Offset: 7, Key: "sha256:00", Since: time.Unix(0, 0).UTC(), Attempts: 3, Error: "refused", Behind: 12}},
		MissingTopics: []string{},
		Abandoned:     []runtime.AbandonedDelivery{},
		Unanswered:    []runtime.UnansweredWorker{{WorkerID: "b:8083", Tasks: []int{1}, Error: "no answer"}},
	}, nil
}

func (m *memHerder) WaitingHere(ctx context.Context, name string) (runtime.Waiting, error) {
	w, err := m.Waiting(ctx, name)
	w.Unanswered = []runtime.UnansweredWorker{}
	return w, err
}

func (m *memHerder) DeadLetters(ctx context.Context, name string, q runtime.LetterQuery) (runtime.Letters, error) {
	if _, err := m.Connector(ctx, name); err != nil {
		return runtime.Letters{}, err
	}
	m.letterQuery = q
	d, _ := m.DeadLetter(ctx, name, 0, 5)
	next := "0:5"
	return runtime.Letters{Topic: "dlq", Records: []runtime.Letter{d.Letter, {Partition: 1, State: "unplaced", Problem: "no headers"}}, Next: &next}, nil
}

func (m *memHerder) DeadLetter(_ context.Context, _ string, partition int32, offset int64) (runtime.LetterDetail, error) {
	if offset != 5 {
		return runtime.LetterDetail{}, runtime.NotFound("no record at offset %d", offset)
	}
	at := time.UnixMilli(1).UTC()
	return runtime.LetterDetail{
		Letter: runtime.Letter{Partition: partition, Offset: offset, State: "open", Timestamp: &at, Origin: &runtime.LetterOrigin{Topic: "t", Partition: 2, Offset: 7},
			Stage: "TASK_PUT", Class: "c", Exception: "e", Message: "m", Attempts: 2, Key: "sha256:00", KeyBytes: 3, ValueBytes: 4},
		Context: []runtime.LetterHeader{{Key: "__connect.errors.topic", Value: "t"}}, Headers: []runtime.LetterHeaderSize{{Key: "h", Bytes: 1}},
		Record: []byte(`{"a":1}`), Framing: "0000000001",
	}, nil
}

func (m *memHerder) letters(ctx context.Context, name, action string, req runtime.LetterRequest) (runtime.LetterOperation, error) {
	if _, err := m.Connector(ctx, name); err != nil {
		return runtime.LetterOperation{}, err
	}
	m.letterRequest = req
	at := time.UnixMilli(1).UTC()
	return runtime.LetterOperation{ID: "x", Action: action, Topic: "dlq", Filter: req.Filter, Requested: at, Ended: &at, State: "RUNNING", WorkerID: "a:1", Remaining: 3, Error: "slow"}, nil
}

func (m *memHerder) ReplayDeadLetters(ctx context.Context, name string, req runtime.LetterRequest) (runtime.LetterOperation, error) {
	return m.letters(ctx, name, "replay", req)
}

func (m *memHerder) DropDeadLetters(ctx context.Context, name string, req runtime.LetterRequest) (runtime.LetterOperation, error) {
	return m.letters(ctx, name, "drop", req)
}

func (m *memHerder) CancelDeadLetters(ctx context.Context, name string) (runtime.LetterOperation, error) {
	return m.letters(ctx, name, "replay", runtime.LetterRequest{})
}

func (m *memHerder) DeadLetterOperations(ctx context.Context, name string) (runtime.LetterOperations, error) {
	op, err := m.letters(ctx, name, "replay", m.letterRequest)
	return runtime.LetterOperations{Operations: []runtime.LetterOperation{op}}, err
}

func (m *memHerder) Tasks(ctx context.Context, name string) ([]runtime.TaskInfo, error) {
	info, err := m.Connector(ctx, name)
	if err != nil {
		return nil, err
	}
	var tasks []runtime.TaskInfo
	for _, id := range info.Tasks {
		cfg, class := maps.Clone(info.Config), "org.apache.kafka.connect.file.FileStreamSinkTask"
		cfg["task.class"] = &class
		tasks = append(tasks, runtime.TaskInfo{ID: id, Config: cfg})
	}
	return tasks, nil
}

func (m *memHerder) Topics(context.Context, string) ([]string, error) { return nil, nil }
func (m *memHerder) ResetTopics(context.Context, string) error        { return nil }
func (m *memHerder) Offsets(_ context.Context, name string) (runtime.Offsets, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(name, notFound)
	if err != nil {
		return runtime.Offsets{}, err
	}
	return runtime.Offsets{Offsets: c.offsets}, nil
}

func (m *memHerder) stopped(name string) (*memConnector, error) {
	c, err := m.of(name, notFound)
	if err == nil && c.target != "STOPPED" {
		err = runtime.BadRequest("Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector "+
			"by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name)
	}
	return c, err
}

func (m *memHerder) AlterOffsets(_ context.Context, name string, offsets []runtime.PartitionOffset) (runtime.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(offsets) == 0 {
		return runtime.Message{}, runtime.BadRequest("Partitions / offsets need to be provided for an alter offsets request")
	}
	c, err := m.stopped(name)
	if err != nil {
		return runtime.Message{}, err
	}
	for i, o := range offsets {
		p, err := strconv.Atoi(fmt.Sprint(o.Partition["kafka_partition"]))
		if err != nil {
			return runtime.Message{}, runtime.BadRequest("Failed to parse the following Kafka partition value in the provided offsets: '%v'. "+
				"Partition values for sink connectors need to be integers.", o.Partition["kafka_partition"])
		}
		offsets[i].Partition["kafka_partition"] = p
		offsets[i].Offset["kafka_offset"] = json.Number(fmt.Sprint(o.Offset["kafka_offset"]))
	}
	c.offsets = offsets
	return runtime.Message{Message: "The offsets for this connector have been altered successfully"}, nil
}

func (m *memHerder) ResetOffsets(_ context.Context, name string) (runtime.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.stopped(name)
	if err != nil {
		return runtime.Message{}, err
	}
	c.offsets = nil
	return runtime.Message{Message: "The offsets for this connector have been reset successfully"}, nil
}

func (m *memHerder) Plugins(_ context.Context, connectorsOnly bool) ([]runtime.PluginInfo, error) {
	all := []runtime.PluginInfo{{Class: memClass, Type: "sink", Version: "1.2.3"}}
	if !connectorsOnly {
		all = append(all, runtime.PluginInfo{Class: "org.apache.kafka.connect.converters.ByteArrayConverter", Type: "converter", Version: "1.2.3"},
			runtime.PluginInfo{Class: "org.apache.kafka.connect.converters.ByteArrayConverter", Type: "header_converter", Version: "1.2.3"})
	}
	return all, nil
}

var memDef = config.New(
	config.Key{Name: "name", Required: true, Group: "Common", Doc: "Name."},
	config.Key{Name: "topics", Type: config.List, Default: []string{}, Group: "Common", Doc: "Topics."},
	config.Key{Name: "file", Doc: "File."},
	config.Key{Name: "file.password", Type: config.Password, Doc: "Password."},
)

func (m *memHerder) PluginConfig(_ context.Context, plugin, _ string) ([]config.KeyInfo, error) {
	if !isMemClass(plugin) {
		return nil, runtime.NotFound("Unknown plugin %s.", plugin)
	}
	return memDef.Infos(), nil
}

func (m *memHerder) Validate(_ context.Context, plugin string, cfg map[string]*string) (runtime.Validation, error) {
	class := cfg["connector.class"]
	if class != nil && !strings.HasSuffix(strings.TrimSuffix(*class, "Connector"), strings.TrimSuffix(plugin, "Connector")) {
		return runtime.Validation{}, runtime.BadRequest("Included connector type %s does not match request type %s", *class, plugin)
	}
	if class == nil {
		return runtime.Validation{}, runtime.BadRequest("Connector config {topics=a} contains no connector type")
	}
	if !isMemClass(*class) {
		return runtime.Validation{}, runtime.BadRequest("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s", *class, memClass)
	}
	v := runtime.Validation{Name: *class, Groups: []string{"Common"}}
	for _, k := range memDef.Keys() {
		info := k.Info()
		value := config.ValueInfo{Name: k.Name, Value: cfg[k.Name], Recommended: []string{}, Errors: []string{}, Visible: true}
		if k.Type == config.Password && value.Value != nil {
			hidden := config.Hidden
			value.Value = &hidden
		}
		if k.Name == "topics" && cfg[k.Name] == nil {
			value.Errors = append(value.Errors, "Must configure one of topics or topics.regex")
			v.ErrorCount++
		}
		v.Configs = append(v.Configs, runtime.ValidationConfig{Definition: &info, Value: value})
	}
	return v, nil
}

// named puts the connector's name into its configuration, or refuses another.
func named(name string, cfg map[string]*string) error {
	if given := cfg["name"]; given != nil && *given != name {
		return runtime.BadRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *given, name)
	}
	cfg["name"] = &name
	return nil
}

func isMemClass(s string) bool {
	return s == memClass || s == "FileStreamSink" || s == "FileStreamSinkConnector"
}

// checkConfig holds the rules of names and classes.
func checkConfig(cfg map[string]*string) error {
	class := cfg["connector.class"]
	if class == nil {
		return runtime.BadRequest("Connector config %s contains no connector type", javaMap(cfg))
	}
	if !isMemClass(*class) {
		return runtime.BadRequest("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s", *class, memClass)
	}
	name := config.Trim(*cfg["name"])
	var control []string
	for _, c := range name {
		if c < ' ' {
			control = append(control, strconv.Itoa(int(c)))
		}
	}
	problem := ""
	switch {
	case name == "":
		problem = "Invalid value  for configuration name: String may not be empty"
	case control != nil:
		problem = "Invalid value " + name + " for configuration name: String may not contain control sequences but had the following ASCII chars: " + strings.Join(control, ", ")
	default:
		return nil
	}
	return invalid(runtime.Validation{ErrorCount: 1, Configs: []runtime.ValidationConfig{{Value: config.ValueInfo{Errors: []string{problem}}}}})
}

func (m *memHerder) Loggers(context.Context) (map[string]runtime.LoggerLevel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.loggers), nil
}

func (m *memHerder) Logger(_ context.Context, name string) (runtime.LoggerLevel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.loggers[name]
	if !ok {
		return l, runtime.NotFound("Logger %s not found.", name)
	}
	return l, nil
}

func (m *memHerder) SetLogger(_ context.Context, name, level string, _ bool) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	level = strings.ToUpper(level)
	if !slices.Contains([]string{"OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"}, level) {
		return nil, runtime.NotFound("invalid log level '%s'.", level)
	}
	now := int64(1700000000000)
	m.loggers[name] = runtime.LoggerLevel{Level: level, LastModified: &now}
	return []string{name}, nil
}

var (
	_ Herder = (*memHerder)(nil)
	_ Herder = (*runtime.Herder)(nil)
)
