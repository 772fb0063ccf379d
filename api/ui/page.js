// The page asks the worker every few seconds and rebuilds what it shows. Everything that comes
// from the worker is set as text, never as markup.
const every = 3000;
const byId = (id) => document.getElementById(id);
let knowsWaiting = true; // until the worker answers that it does not

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(every * 3) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(body.message || `HTTP ${answer.status}`), { status: answer.status });
  return body;
}

function cell(row, text, className) {
  const td = row.insertCell();
  const holder = className === "pre" ? td.appendChild(document.createElement("pre")) : td;
  if (className && className !== "pre") {
    const mark = td.appendChild(document.createElement("span"));
    mark.className = className;
    mark.textContent = text;
    return;
  }
  holder.textContent = text ?? "";
}

function show(element, text) {
  element.hidden = !text;
  element.textContent = text || "";
}

function ago(time) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(time).getTime()) / 1000));
  if (!Number.isFinite(seconds)) return String(time ?? "");
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

function render(name, status, waiting) {
  const section = byId("connector").content.cloneNode(true);
  const find = (selector) => section.querySelector(selector);
  find(".name").textContent = name;
  find(".state").textContent = status.connector.state;
  find(".state").classList.add(status.connector.state);
  show(find(".warning"), status.connector.warning);
  show(find(".trace"), status.connector.trace);
  for (const task of status.tasks) {
    const row = find(".tasks").insertRow();
    cell(row, task.id);
    cell(row, task.state, `state ${task.state}`);
    cell(row, task.worker_id);
    cell(row, [task.warning, task.trace].filter(Boolean).join("\n"), "pre");
  }
  if (waiting?.length) {
    find(".waiting").hidden = false;
    for (const w of waiting) {
      const row = find(".records").insertRow();
      for (const text of [`${w.topic}-${w.partition}`, w.offset, w.key, ago(w.since), w.attempts, w.last_error, w.next_try ? new Date(w.next_try).toLocaleTimeString() : ""]) cell(row, text);
    }
  }
  return section;
}

async function waitingOf(name) {
  if (!knowsWaiting) return [];
  try {
    const body = await ask(`../connectors/${encodeURIComponent(name)}/waiting`);
    return Array.isArray(body) ? body : body.waiting ?? [];
  } catch (e) {
    if (e.status === 404 && e.message === "HTTP 404 Not Found") knowsWaiting = false;
    return [];
  }
}

async function refresh() {
  try {
    const [info, connectors] = await Promise.all([ask("../"), ask("../connectors?expand=status")]);
    byId("worker").textContent = `version ${info.version}, Kafka cluster ${info.kafka_cluster_id}`;
    const names = Object.keys(connectors).sort();
    const sections = await Promise.all(names.map(async (name) => render(name, connectors[name].status, await waitingOf(name))));
    byId("connectors").replaceChildren(...sections);
    byId("none").hidden = names.length > 0;
    byId("fresh").textContent = `as of ${new Date().toLocaleTimeString()}`;
    show(byId("problem"), "");
  } catch (e) {
    show(byId("problem"), `The worker does not answer as it should: ${e.message}. What is shown below may be old.`);
  }
}

for (;;) {
  if (!document.hidden) await refresh();
  await new Promise((resume) => setTimeout(resume, every));
}
