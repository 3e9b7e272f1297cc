
"use strict";
// Shows the status of an instance as it comes: "history" (samples for the plots, by pool) and
// "status" (the whole report) on one stream of server-sent events. All that is shown is set as text.

const KEPT = 300;          // seconds of history in a plot
const GAP = 3.5;           // seconds without a sample after which a line is broken
const STALE = 4;           // seconds after which the age of the data is said
const AGAIN = [1, 2, 5, 10];  // seconds between tries to reach a listener that refuses the stream
const MOST_PROBLEMS = 8;   // more of them are counted: nobody mends so many at once
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function draw(name, attributes = {}) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}
function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

// -- numbers as people read them ---------------------------------------------------------------

const NONE = "\u2013";
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const count = (n) => grouped.format(n).replaceAll(",", "\u202f");

function rate(n) {
  if (n === null) return NONE;
  if (n === 0) return "0";
  if (n < 9.95) return n.toFixed(1);
  return n < 99_950 ? count(n) : `${count(n / 1000)}k`;
}
function latency(seconds) {
  if (seconds === null) return NONE;
  const ms = seconds * 1000;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return seconds < 9.995 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(0)} s`;
}
function bytes(n) {
  for (const [unit, size] of [["B", 1], ["K", 2 ** 10], ["M", 2 ** 20], ["G", 2 ** 30]]) {
    const shown = n / size;
    if (shown < 999.5 || unit === "G") return `${shown < 9.95 && unit !== "B" ? shown.toFixed(1) : shown.toFixed(0)}\u202f${unit}`;
  }
}
function duration(seconds) {
  if (seconds < 9.95 && seconds % 1 >= 0.05) return `${seconds.toFixed(1)} s`;
  for (const [unit, length, most] of [["s", 1, 120], ["min", 60, 120], ["h", 3600, 48]]) {
    if (seconds < most * length) return `${(seconds / length).toFixed(0)} ${unit}`;
  }
  return `${(seconds / 86_400).toFixed(0)} days`;
}
const age = (seconds) => duration(Math.floor(seconds));
const ago = (seconds) => (seconds < 1 ? "now" : `${age(seconds)} ago`);
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// -- plots --------------------------------------------------------------------------------------

const PLOTS = [
  {
    title: "Requests a second", format: rate,
    lines: [
      { column: "requests", name: "", stroke: "line-blue", area: "area-blue" },
      { column: "server_errors", name: "5xx", stroke: "line-red", area: "area-red", tone: (n) => (n > 0 ? "bad" : "none"), kind: "errors" },
      { column: "client_errors", name: "4xx", kind: "errors wide", hidden: true },
    ],
  },
  {
    title: "Latency", format: latency,
    lines: [
      { column: "p50", name: "p50", stroke: "line-blue" },
      { column: "p99", name: "p99", stroke: "line-violet", kind: "p99" },
    ],
  },
  {
    title: "Slots in use", format: count, least: 4,
    lines: [
      { column: "running", name: "", stroke: "line-blue", area: "area-blue" },
      { column: "slots", name: "of", stroke: "line-quiet", limit: true },
    ],
  },
  {
    title: "Queue", format: count, least: 4,
    lines: [{ column: "queued", name: "", stroke: "line-amber", area: "area-amber" }],
  },
];

function ceiling(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((most) => most >= n * 0.9999);
}

class Plot {
  constructor(spec) {
    this.spec = spec;
    this.values = spec.lines.map((line) => {
      const number = make("span");
      const key = make("span", { class: "key" }, line.name);
      const node = make("span", { class: `value ${line.kind || ""}` }, key, number);
      return { node, number };
    });
    const title = make("span", { class: "title" }, spec.title);
    this.svg = draw("svg", { viewBox: "0 0 300 100", preserveAspectRatio: "none", role: "img" });
    this.svg.append(draw("line", { x1: 0, x2: 300, y1: 0, y2: 0 }));
    this.svg.append(draw("line", { class: "base", x1: 0, x2: 300, y1: 100, y2: 100 }));
    this.paths = spec.lines.map((line) => {
      if (line.hidden) return null;
      const area = line.area ? this.svg.appendChild(draw("path", { class: `area ${line.area}` })) : null;
      return { area, line: this.svg.appendChild(draw("path", { class: line.stroke })) };
    });
    this.mark = this.svg.appendChild(draw("line", { class: "mark", y1: 0, y2: 100 }));
    this.mark.style.display = "none";
    this.most = make("span", { class: "most", "aria-hidden": "true" });
    const frame = make("div", { class: "frame" });
    frame.append(this.svg, this.most);
    this.node = make("figure", { class: "plot" }, make("figcaption", {}, title, ...this.values.map((v) => v.node)), frame);
    frame.addEventListener("pointermove", (event) => {
      const box = frame.getBoundingClientRect();
      look(KEPT * (1 - (event.clientX - box.left) / box.width));
    });
    frame.addEventListener("pointerleave", () => look(null));
  }

  update(samples, columns, now, back) {
    const indexes = this.spec.lines.map((line) => columns.indexOf(line.column));
    const highest = this.spec.lines.map((_, at) => samples.reduce((most, [, numbers]) => Math.max(most, numbers[indexes[at]] || 0), 0));
    const reached = Math.max(this.spec.least || 0, ...highest.filter((_, at) => !this.spec.lines[at].limit));
    // A limit that is far away would press all else down to the base line: it is not drawn then.
    const drawn = this.spec.lines.map((line, at) => !line.hidden && (!line.limit || highest[at] <= 4 * Math.max(reached, 4)));
    const most = ceiling(Math.max(reached, ...highest.filter((_, at) => drawn[at])));
    const shown = sampleAt(samples, back === null ? now : now - back);
    for (const [at, line] of this.spec.lines.entries()) {
      const value = shown ? shown[1][indexes[at]] : null;
      setText(this.values[at].number, value === null ? NONE : this.spec.format(value));
      if (line.tone) setAttribute(this.values[at].node, "data-tone", line.tone(value));
      if (!line.hidden) this.trace(this.paths[at], drawn[at] ? samples : [], indexes[at], now, most);
    }
    setText(this.most, this.spec.format(most));
    if (back !== null) for (const end of ["x1", "x2"]) setAttribute(this.mark, end, `${300 - back}`);
    this.mark.style.display = back === null ? "none" : "";
    setAttribute(this.svg, "aria-label", this.words(samples, indexes));
  }

  trace(paths, samples, index, now, most) {
    let line = "", area = "", last = null, first = null, some = false;
    const close = () => {
      if (last !== null) area += `L${last} 100L${first} 100Z`;
    };
    let before = -Infinity;
    for (const [at, numbers] of samples) {
      const value = numbers[index];
      if (value === null) continue;
      if (value > 0) some = true;
      const x = (300 * (1 - (now - at) / KEPT)).toFixed(1);
      const y = (100 * (1 - value / most)).toFixed(1);
      if (at - before > GAP) {
        close();
        first = x;
        line += `M${x} ${y}h0.01`;
        area += `M${x} 100L${x} ${y}`;
      } else {
        line += `L${x} ${y}`;
        area += `L${x} ${y}`;
      }
      last = x;
      before = at;
    }
    close();
    if (!some) line = area = "";  // nothing but zeros would hide the base line
    setAttribute(paths.line, "d", line);
    if (paths.area) setAttribute(paths.area, "d", area);
  }

  words(samples, indexes) {
    const parts = this.spec.lines.map((line, at) => {
      const numbers = samples.map((sample) => sample[1][indexes[at]]).filter((n) => n !== null);
      if (!numbers.length) return `${line.name || ""} no data`;
      const [least, most] = [Math.min(...numbers), Math.max(...numbers)].map(this.spec.format);
      return `${line.name} now ${this.spec.format(numbers.at(-1))}, lowest ${least}, highest ${most}`;
    });
    return `${this.spec.title} over the last ${duration(KEPT)}: ${parts.join("; ")}`;
  }
}

function sampleAt(samples, at) {
  let best = null;
  for (const sample of samples) {
    if (best === null || Math.abs(sample[0] - at) < Math.abs(best[0] - at)) best = sample;
  }
  return best && Math.abs(best[0] - at) < GAP ? best : null;
}

class Pool {
  constructor(name) {
    const id = `pool-${name}`;
    this.title = make("h3", { id }, name);
    this.app = make("span", { class: "app mono" });
    this.ready = make("span", { class: "ready" });
    this.more = make("span", { class: "more" });
    this.plots = PLOTS.map((spec) => new Plot(spec));
    this.row = make("div", { class: "plots", tabindex: "0", role: "group", "aria-label": `Plots of pool ${name}; arrow keys look back in time` });
    this.row.append(...this.plots.map((plot) => plot.node));
    this.node = make("article", { class: "pool", "aria-labelledby": id });
    this.node.append(make("div", { class: "pool-head" }, this.title, this.app, this.ready, this.more), this.row);
    this.row.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: 5, ArrowRight: -5, Home: KEPT, End: -KEPT, Escape: -KEPT };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const back = Math.min(KEPT - 1, (view.back ?? 0) + steps[event.key]);
      look(back > 0 ? back : null);
    });
    this.row.addEventListener("blur", () => look(null));
  }
}

// -- tables -------------------------------------------------------------------------------------

class Table {
  // columns: {title, text(row), number?, sort?(row), tone?(row), detail?(row), class?}; the first
  // one names its row. Rows are kept by key, so that a selection or the focus stays.
  constructor(node, columns, caption) {
    this.columns = columns;
    this.sorted = null;
    this.groups = new Map();
    this.node = node;
    node.append(make("caption", { class: "unseen" }, caption));
    this.heads = columns.map((column, at) => {
      const head = make("th", { scope: "col", class: this.classes(column) });
      if (column.sort) {
        const button = make("button", { type: "button" }, column.title);
        button.addEventListener("click", () => this.sort(at));
        head.append(button);
      } else head.append(column.title);
      return head;
    });
    node.append(make("thead", {}, make("tr", {}, ...this.heads)));
  }

  classes(column) {
    return [column.number ? "number" : "", column.class || ""].join(" ").trim();
  }

  sort(at) {
    const falling = this.sorted?.at === at ? !this.sorted.falling : Boolean(this.columns[at].number);
    this.sorted = { at, falling };
    for (const [other, head] of this.heads.entries()) {
      setAttribute(head, "aria-sort", other !== at ? null : falling ? "descending" : "ascending");
    }
    render();
  }

  update(groups) {
    // groups: {key, title?, detail?, rows: [{key, ...}]}
    const names = new Set(groups.map((group) => group.key));
    for (const [key, group] of this.groups) {
      if (!names.has(key)) {
        group.body.remove();
        this.groups.delete(key);
      }
    }
    for (const group of groups) {
      let there = this.groups.get(group.key);
      if (!there) {
        there = { body: this.node.appendChild(make("tbody")), rows: new Map(), title: null };
        this.groups.set(group.key, there);
        if (group.title) {
          const narrow = this.columns.filter((column) => column.class !== "wide").length;
          const head = make("th", { scope: "rowgroup", colspan: `${narrow}` });
          there.title = [head.appendChild(make("span")), head.appendChild(make("small"))];
          there.body.append(make("tr", { class: "group" }, head));
        }
      }
      if (there.title) {
        setText(there.title[0], group.title);
        setText(there.title[1], group.detail || "");
      }
      this.fill(there, group.rows);
    }
  }

  fill(there, rows) {
    if (this.sorted) {
      const by = this.columns[this.sorted.at].sort;
      const sign = this.sorted.falling ? -1 : 1;
      rows = [...rows].sort((a, b) => (by(a) < by(b) ? -sign : by(a) > by(b) ? sign : 0));
    }
    const wanted = new Set(rows.map((row) => row.key));
    for (const [key, node] of there.rows) {
      if (!wanted.has(key)) {
        node.remove();
        there.rows.delete(key);
      }
    }
    let before = there.title ? there.body.firstElementChild : null;
    for (const row of rows) {
      let node = there.rows.get(row.key);
      if (!node) {
        node = make("tr");
        for (const [at, column] of this.columns.entries()) {
          const cell = at ? make("td") : make("th", { scope: "row" });
          setAttribute(cell, "class", this.classes(column) || null);
          node.append(cell);
        }
        there.rows.set(row.key, node);
      }
      for (const [at, column] of this.columns.entries()) this.cell(node.children[at], column, row);
      const next = before ? before.nextElementSibling : there.body.firstElementChild;
      if (next !== node) there.body.insertBefore(node, next);
      before = node;
    }
  }

  cell(cell, column, row) {
    const text = column.text(row);
    const tone = column.tone ? column.tone(row) : null;
    const detail = column.detail ? column.detail(row) : "";
    if (column.pill || column.detail) {
      if (!cell.firstElementChild) cell.append(make("span", column.pill ? { class: "tone" } : {}), make("span", { class: "why" }));
      setText(cell.children[0], text);
      setText(cell.children[1], detail ? ` ${detail}` : "");
      setAttribute(cell.children[0], "data-tone", tone);
    } else {
      setText(cell, text);
      setAttribute(cell, "data-tone", tone);
    }
  }
}

const TONES = {
  ready: "good", serving: "good", starting: "warn", leaving: "warn", stopping: "warn", late: "warn",
  "not ready": "warn", hung: "bad",
};
const tone = (state) => TONES[state] || "none";
const started = (row) => row.state !== "starting";

const workersTable = new Table(byId("workers-table"), [
  { title: "Worker", text: (w) => `${w.number}`, sort: (w) => w.number },
  { title: "PID", text: (w) => (w.pid ? `${w.pid}` : NONE), number: true, class: "wide", sort: (w) => w.pid },
  { title: "Gen", text: (w) => `${w.generation}`, number: true, sort: (w) => w.generation },
  { title: "State", text: (w) => w.state, pill: true, tone: (w) => tone(w.state), detail: (w) => w.why, sort: (w) => w.state },
  { title: "Age", text: (w) => age(w.uptime), number: true, sort: (w) => w.uptime },
  { title: "Memory", text: (w) => (w.rss ? bytes(w.rss) : NONE), number: true, sort: (w) => w.rss },
  { title: "Lag", text: (w) => (started(w) ? latency(w.lag) : NONE), number: true, sort: (w) => w.lag, tone: (w) => (w.lag >= 1 ? "bad" : w.lag >= 0.1 ? "warn" : null) },
  { title: "Calls", text: (w) => (started(w) ? count(w.calls) : NONE), number: true, sort: (w) => w.calls },
  { title: "Limit", text: (w) => (w.limit ? count(w.limit) : NONE), number: true, class: "wide", detail: (w) => w.limit_why, sort: (w) => w.limit },
  { title: "Queued", text: (w) => (started(w) ? count(w.queued) : NONE), number: true, class: "wide", sort: (w) => w.queued },
  { title: "Oldest call", text: (w) => (w.calls ? duration(w.oldest_call) : NONE), number: true, class: "wide", sort: (w) => w.oldest_call, tone: (w) => (w.calls && w.oldest_call >= 30 ? "warn" : null) },
  { title: "Requests", text: (w) => (started(w) ? count(w.requests) : NONE), number: true, class: "wide", sort: (w) => w.requests },
], "Workers by pool");

const linkedTable = new Table(byId("linked-table"), [
  { title: "Worker", text: (w) => w.worker, detail: (w) => labelsOf(w), sort: (w) => w.worker },
  { title: "PID there", text: (w) => (w.pid ? `${w.pid}` : NONE), number: true, class: "wide" },
  { title: "Gen", text: (w) => (w.generation ? `${w.generation}` : NONE), number: true, sort: (w) => w.generation },
  { title: "State", text: (w) => w.state, pill: true, tone: (w) => tone(w.state), sort: (w) => w.state },
  { title: "Weight", text: (w) => `${w.weight ?? 1}`, number: true, class: "wide", sort: (w) => w.weight ?? 1 },
  { title: "Calls", text: (w) => count(w.calls), number: true, sort: (w) => w.calls },
  { title: "Requests", text: (w) => count(w.requests), number: true, sort: (w) => w.requests },
  { title: "Gateways", text: (w) => w.gateways.join(", "), number: true },
], "Workers of other supervisors, by pool");
const labelsOf = (one) => Object.entries(one.labels || {}).map(([name, value]) => `${name}=${value}`).join(", ");

const gatewaysTable = new Table(byId("gateways-table"), [
  { title: "Gateway", text: (g) => `${g.number}` },
  { title: "PID", text: (g) => (g.pid ? `${g.pid}` : NONE), number: true },
  { title: "State", text: (g) => g.state, pill: true, tone: (g) => tone(g.state) },
  { title: "Age", text: (g) => age(g.uptime), number: true },
], "Gateway processes");

const certificatesTable = new Table(byId("certificates-table"), [
  { title: "Name", text: (c) => c.name || "(no name)", detail: (c) => c.file },
  { title: "Expires", text: (c) => new Date(c.expires * 1000).toISOString().slice(0, 10), class: "wide" },
  { title: "Days left", text: (c) => (daysLeft(c) < 0 ? "expired" : count(daysLeft(c))), number: true, tone: (c) => (daysLeft(c) < 3 ? "bad" : daysLeft(c) < 15 ? "warn" : null) },
], "Certificates");
const daysLeft = (c) => Math.floor((c.expires - Date.now() / 1000) / 86_400);

const failedTable = new Table(byId("failed-table"), [
  { title: "When", text: (f) => ago(f.ago), class: "when" },
  { title: "Status", text: (f) => (f.status ? `${f.status}` : NONE), tone: (f) => (f.status >= 500 ? "bad" : "warn") },
  { title: "End", text: (f) => f.end, class: "mono end" },
  { title: "Request", text: (f) => `${f.method} ${f.path}`, class: "full" },
  { title: "Worker", text: (f) => f.pool + (f.worker ? ` ${f.worker}` : "") },
  { title: "Took", text: (f) => latency(f.duration), number: true },
  { title: "Reason", text: (f) => f.reason, class: "full" },
  { title: "Id", text: (f) => f.id, class: "mono full" },
], "Requests that ended badly, the newest first");

// -- the whole page -----------------------------------------------------------------------------

const view = {
  report: null, columns: [], samples: [], received: 0, paused: false, back: null, due: false,
  connection: "connecting", why: "", said: {}, changes: [],
};
const pools = new Map();
const filter = byId("failed-filter");

function look(back) {
  view.back = back;
  schedule();
}

function schedule() {
  if (view.due) return;
  view.due = true;
  requestAnimationFrame(() => {
    view.due = false;
    render();
  });
}

function headline(report) {
  if (report.phase === "stopping") return ["Stopping", "warn"];
  if (report.phase === "starting") return ["Starting", "warn"];
  if (report.ready === false) return ["Not serving", "bad"];
  const short = report.pools.filter((pool) => readyOf(pool) < pool.wanted);
  return short.length ? ["Serving, workers missing", "warn"] : ["Serving", "good"];
}
const rangeOf = (pool) => (pool.scaler ? `, from ${pool.scaler.least} to ${pool.scaler.most} allowed` : "");
const readyOf = (pool) => Math.min(pool.wanted, pool.workers.filter((w) => w.state === "ready").length);

function render() {
  const report = view.report;
  if (!report) return renderConnection();
  show(byId("main"), true);
  const [state, stateTone] = headline(report);
  setText(byId("state"), state);
  setAttribute(byId("state"), "data-tone", stateTone);
  renderFacts(report);
  renderReload(report.reload);
  renderProblems(report.problems);
  renderPools(report);
  renderProcesses(report);
  renderFailed(report);
  renderConnection();
}

function renderFacts(report) {
  const where = byId("where");
  const shown = report.addresses.length ? report.addresses.join("  ") : `Workers for the gateways at ${report.run_dir}`;
  if (where.dataset.shown !== shown) {
    where.dataset.shown = shown;
    where.replaceChildren(...(report.addresses.length ? report.addresses.map(address) : [shown]));
  }
  const facts = [
    ["up", age(report.uptime)], ["generation", `${report.generation}`], ["pid", `${report.pid}`],
    ["version", report.version], ["run directory", report.run_dir],
    ["memory limit", report.memory_limit ? bytes(report.memory_limit) : ""],
  ].filter(([name, value]) => value && (name !== "generation" || report.pools.length));
  const list = byId("facts");
  if (list.children.length !== facts.length) {
    list.replaceChildren(...facts.map(() => make("div", {}, make("dt"), make("dd"))));
  }
  for (const [at, [name, value]] of facts.entries()) {
    setText(list.children[at].children[0], name);
    setText(list.children[at].children[1], value);
  }
  setText(byId("about"), `Propylon ${report.version}`);
}

function address(url) {
  return /^https?:\/\//.test(url) ? make("a", { href: url, rel: "noreferrer" }, url) : make("span", {}, `${url} `);
}

function renderReload(reload) {
  const box = byId("reload");
  const ended = reload && ["committed", "aborted", "overtaken"].includes(reload.state);
  show(box, Boolean(reload));
  if (!reload) return;
  const what = `Reload to generation ${reload.generation}`;
  const words = {
    committed: `${what} was committed ${ago(reload.ago)}`,
    aborted: `${what} was aborted ${ago(reload.ago)}; the old workers serve on`,
    overtaken: `${what} was given up ${ago(reload.ago)}`,
  };
  const going = `${what} for ${age(reload.ago)}: ${reload.state}, ${reload.done} of ${reload.of} replaced`;
  setText(byId("reload-title"), words[reload.state] || going);
  setAttribute(box, "data-tone", { aborted: "bad", committed: "good", overtaken: "warn" }[reload.state] || "none");
  setText(byId("reload-why"), reload.why || "");
  const progress = byId("reload-progress");
  show(progress, !ended);
  progress.max = Math.max(1, reload.of);
  progress.value = reload.done;
  show(byId("reload-detail"), Boolean(reload.detail));
  setText(byId("reload-detail").querySelector("pre"), reload.detail || "");
}

function renderProblems(problems) {
  show(byId("problems"), problems.length > 0);
  setText(byId("problems-title"), problems.length === 1 ? "Problem" : "Problems");
  const list = byId("problems-list");
  const shown = problems.slice(0, MOST_PROBLEMS);
  while (list.children.length > shown.length) list.lastElementChild.remove();
  for (const [at, one] of shown.entries()) {
    const item = list.children[at] || list.appendChild(make("li", {}, make("strong"), " ", make("time"), make("span")));
    setText(item.children[0], one.what);
    setText(item.children[1], `for ${age(one.ago)}`);
    setText(item.children[2], one.remedy);
  }
  const more = problems.length - shown.length;
  show(byId("problems-more"), more > 0);
  setText(byId("problems-more"), `and ${count(more)} more: propylon status shows all`);
}

function renderPools(report) {
  const names = new Set([...report.traffic.map((one) => one.pool), ...report.pools.map((one) => one.name)]);
  for (const [name, pool] of pools) {
    if (!names.has(name)) {
      pool.node.remove();
      pools.delete(name);
    }
  }
  const newest = view.samples.at(-1);
  const now = newest ? Math.max(newest[0], report.uptime - 1) : report.uptime;
  for (const name of names) {
    if (!pools.has(name)) {
      pools.set(name, new Pool(name));
      byId("pool-list").append(pools.get(name).node);
    }
    const pool = pools.get(name);
    const status = report.pools.find((one) => one.name === name);
    const traffic = report.traffic.find((one) => one.pool === name);
    setText(pool.app, status ? status.app : "");
    const ready = status ? readyOf(status) : 0;
    setText(pool.ready, status ? `${ready} of ${plural(status.wanted, "worker")} ready${rangeOf(status)}` : "workers from elsewhere");
    setAttribute(pool.ready, "data-tone", !status || ready >= status.wanted ? "none" : ready ? "warn" : "bad");
    show(pool.row, Boolean(traffic));
    if (!traffic) continue;
    const samples = view.samples.filter(([, by]) => name in by).map(([at, by]) => [at, by[name]]);
    for (const plot of pool.plots) plot.update(samples, view.columns, now, view.back);
    setText(pool.more, moreOf(traffic, samples));
  }
  show(byId("pools-title").querySelector("small"), report.traffic.length > 0);
  setText(byId("pools-title").querySelector("small"), view.back === null ? "the last 5 minutes" : `${duration(Math.round(view.back))} ago`);
}

function moreOf(traffic, samples) {
  const shown = sampleAt(samples, samples.length ? samples.at(-1)[0] : 0);
  const of = (column) => (shown ? shown[1][view.columns.indexOf(column)] : 0);
  const parts = [`in ${bytes(of("received"))}/s`, `out ${bytes(of("sent"))}/s`];
  if (shown && of("app_time") !== null) parts.unshift(`app ${latency(of("app_time"))}, wait ${latency(of("queue_time"))} on average`);
  if (traffic.oldest_waiter >= 0.05) parts.push(`oldest waits ${duration(traffic.oldest_waiter)}`);
  if (traffic.websockets) parts.push(plural(traffic.websockets, "WebSocket"));
  if (traffic.retries) parts.push(`${count(traffic.retries)} done again`);
  parts.push(`${plural(traffic.requests, "request")} in all`);
  return parts.join("  \u00b7  ");
}

function renderProcesses(report) {
  const workers = report.pools.flatMap((pool) => pool.workers);
  const ready = workers.filter((worker) => worker.state === "ready").length;
  show(byId("workers"), report.pools.length > 0);
  setText(byId("workers-count"), `${ready} of ${workers.length} ready`);
  workersTable.update(report.pools.map((pool) => ({
    key: pool.name,
    title: pool.name,
    detail: pool.app,
    rows: pool.workers.map((worker) => ({ key: `${worker.number} ${worker.generation} ${worker.pid}`, ...worker }))
      .sort((a, b) => a.number - b.number || a.generation - b.generation || a.pid - b.pid),
  })));
  show(byId("linked"), report.linked.length > 0);
  setText(byId("linked-count"), `started by other supervisors${report.more_linked ? `; ${report.more_linked} more are not shown` : ""}`);
  const names = [...new Set(report.linked.map((one) => one.pool))];
  linkedTable.update(names.map((name) => ({
    key: name,
    title: name,
    rows: report.linked.filter((one) => one.pool === name).map((one, at) => ({ key: `${one.worker} ${one.pid} ${at}`, ...one })),
  })));
  show(byId("gateways"), report.gateways.length > 0);
  gatewaysTable.update([{ key: "", rows: report.gateways.map((one) => ({ key: `${one.number} ${one.pid}`, ...one })) }]);
  show(byId("certificates"), report.certificates.length > 0);
  certificatesTable.update([{ key: "", rows: report.certificates.map((one, at) => ({ key: `${one.file} ${at}`, ...one })) }]);
  show(byId("ended-empty"), !report.ended.length);
  const list = byId("ended-list");
  while (list.children.length > report.ended.length) list.lastElementChild.remove();
  for (const [at, one] of report.ended.entries()) {
    const item = list.children[at] || list.appendChild(make("li", {}, make("time"), make("span")));
    setText(item.children[0], ago(one.ago));
    setText(item.children[1], `${one.what} ${one.how}`);
  }
}

function renderFailed(report) {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = report.failed.filter((one) => {
    const text = `${one.id} ${one.status} ${one.end} ${one.method} ${one.path} ${one.pool} ${one.worker} ${one.reason}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const all = report.failed.length;
  show(byId("failed"), all > 0 || report.traffic.length > 0);  // without a gateway nobody tells
  show(byId("failed-tools"), all > 0);
  show(byId("failed-table").parentElement, matching.length > 0);
  show(byId("failed-empty"), !matching.length);
  setText(byId("failed-empty"), all ? "None of them matches the filter." : "None.");
  setText(byId("failed-count"), !all ? "" : words.length ? `${matching.length} of ${all}` : `the last ${all}`);
  const seen = new Map();
  failedTable.update([{
    key: "",
    rows: matching.map((one) => {
      const key = `${one.id} ${one.method} ${one.path}`;
      seen.set(key, (seen.get(key) || 0) + 1);
      return { key: `${key} ${seen.get(key)}`, ...one };
    }),
  }]);
}

// -- how fresh it is ----------------------------------------------------------------------------

function renderConnection() {
  const old = view.received ? (performance.now() - view.received) / 1000 : 0;
  const live = byId("live");
  const broken = view.connection !== "open" || (old > STALE && !view.paused);
  const data = view.received ? `the data are ${age(old)} old` : "there are no data yet";
  let text = "live";
  if (view.paused) text = `paused; ${data}`;
  else if (broken) text = view.received ? `${age(old)} old` : "no data yet";
  setText(byId("live-text"), text);
  setAttribute(live, "data-tone", view.paused || broken ? "warn" : "good");
  const lost = broken && !view.paused && (view.connection === "refused" || view.connection === "lost" || old > STALE);
  show(byId("stale"), lost);
  const reason = view.why || (view.connection === "open" ? "Nothing has come for a while" : "The connection is lost");
  setText(byId("stale"), `${reason}; ${data}. Trying again.`);
  for (const section of document.querySelectorAll("main, .facts, .where")) section.style.opacity = lost ? "0.72" : "";
  announce("connection", lost ? reason : view.received ? "Connected" : "");
  if (lost) setText(byId("state"), view.received ? `Was: ${headline(view.report)[0].toLowerCase()}` : "Unknown");
  if (lost) setAttribute(byId("state"), "data-tone", "none");
}

function announce(about, sentence) {
  // Says what has changed since it was looked at last, to a screen reader; a first state is no change.
  const before = view.said[about];
  view.said[about] = sentence;
  if (!before || !sentence || before === sentence) return;
  view.changes.push(sentence);
  queueMicrotask(() => {  // what changes in one moment is said in one breath
    if (view.changes.length) setText(byId("announcer"), view.changes.join(". "));
    view.changes = [];
  });
}

function announceStates(report) {
  const [state, stateTone] = headline(report);
  announce("state", state);
  const reload = report.reload;
  announce("reload", reload ? `Reload to generation ${reload.generation}: ${reload.state}` : "No reload");
  const problems = report.problems;
  announce("problems", problems.length ? `Problem: ${problems.at(-1).what}` : "No problem");
  announce("ended", report.ended.length ? `${report.ended[0].what} ${report.ended[0].how}` : "No process has ended");
  setText(document.querySelector("title"), `${state === "Serving" ? "" : `${state}: `}${report.addresses[0] || report.run_dir} \u2013 Propylon`);
  const colour = { good: "2c8c56", warn: "c9861a", bad: "c0352b" }[stateTone];
  const icon = `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%23${colour}'/%3E%3C/svg%3E`;
  setAttribute(byId("icon"), "href", icon);
}

// -- the stream ---------------------------------------------------------------------------------

let stream = null;
let tries = 0;

function open() {
  stream = new EventSource("events");
  stream.addEventListener("history", (event) => {
    if (!view.paused) keep(JSON.parse(event.data));
  });
  stream.addEventListener("status", (event) => {
    tries = 0;
    view.connection = "open";
    view.why = "";
    if (view.paused) return;
    view.received = performance.now();
    take(JSON.parse(event.data));
    schedule();
  });
  stream.addEventListener("error", () => {
    view.connection = "lost";
    if (stream.readyState === EventSource.CLOSED) refused();
    schedule();
  });
}

async function refused() {
  // The browser connects again by itself when a stream breaks, but not when it is refused.
  stream.close();
  view.connection = "refused";
  const seconds = AGAIN[Math.min(tries++, AGAIN.length - 1)];
  setTimeout(open, seconds * 1000);
  try {
    const answer = await fetch("status", { cache: "no-store" });
    view.why = answer.ok ? "" : answer.status === 401
      ? "The token is not accepted any more: load this page again"
      : `The listener answers ${answer.status} ${answer.statusText}`;
  } catch {
    view.why = "The listener cannot be reached";
  }
  schedule();
}

function keep(history) {
  view.columns = history.columns;
  const newest = view.samples.at(-1)?.[0] ?? -1;
  const last = history.samples.at(-1)?.[0] ?? newest;
  const anew = last < newest;  // another instance answers here now
  view.samples = (anew ? [] : view.samples).concat(history.samples.filter(([at]) => anew || at > newest));
  const from = (view.samples.at(-1)?.[0] ?? 0) - KEPT;
  view.samples = view.samples.filter(([at]) => at >= from);
}

const EMPTY = {
  addresses: [], gateways: [], pools: [], linked: [], more_linked: 0, ended: [], traffic: [], failed: [],
  certificates: [], problems: [], reload: null, run_dir: "", phase: "", ready: null, generation: 0, uptime: 0, pid: 0, version: "",
  memory_limit: 0,
};
function take(report) {
  view.report = { ...EMPTY, ...report };
  announceStates(view.report);
}

byId("pause").addEventListener("click", (event) => {
  view.paused = !view.paused;
  setText(event.currentTarget, view.paused ? "Go on" : "Pause");
  if (!view.paused) {  // what was missed comes with a new stream
    stream.close();
    open();
  }
  schedule();
});
filter.addEventListener("input", schedule);
setInterval(schedule, 1000);  // the age of the data grows while nothing comes
show(byId("pause"), true);
open();
