"use strict";
// Draws what the payload holds. Whatever comes from a run goes into the page as text, never as markup.
(async () => {
  const COLORS = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"]; // Okabe and Ito (2008)
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "cross"];
  const DASHES = ["solid", "dot", "dash", "longdash", "dashdot"];
  const ROWS = 200; // of the table at a time
  const NARROW = 500; // pixels
  const MOST = 8; // curves at a time
  const PAPER = 680; // pixels of a page's width
  const HEAT_FROM = 40, HEAT_STEPS = 200; // see history.py: a sparsity is one character

  const at = (id) => document.getElementById(id);
  const made = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  // Plotly reads a few tags and entities in its texts.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const unzipped = async (base64) => {
    const bytes = Uint8Array.from(atob(base64.trim()), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const four = (value) => (value === null || value === undefined ? "" : value.toFixed(4));
  const percent = (value) => (value === null || value === undefined ? "" : `${+(100 * value).toFixed(2)}%`);
  const clock = (seconds) => {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 60) return `${seconds.toFixed(0)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };
  const shown = (value) => (value === null || value === undefined ? "" : String(value));

  const data = await unzipped(at("payload").textContent);
  const runs = data.runs;
  const ticked = new Set(data.first);
  let focus = data.first.length ? data.first[0] : 0;
  let order = { key: "name", down: false };
  let limit = ROWS;
  let matching = [];

  // Charts

  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
    const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
    const soft = style.getPropertyValue("--soft").trim();
    return {
      ink, soft, axis,
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 13 },
        margin: { l: 56, r: 12, t: 10, b: 44 }, hovermode: "closest",
        legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
        hoverlabel: { font: { size: 13 } },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink },
      },
    };
  };
  const draw = (place, traces, layout, label) => {
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", label);
    const bar = place.clientWidth < NARROW ? false : "hover";  // it would hide the legend of a narrow chart
    return Plotly.react(place, traces, layout, { responsive: true, displaylogo: false, displayModeBar: bar,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  };
  const kept = (sparsity) => -Math.log10(Math.max(1 - sparsity, 1e-3));

  // Where all values are one, the range that Plotly takes is far too wide
  const around = (values, least) => {
    const low = Math.min(...values), high = Math.max(...values);
    return low === high ? { range: [low - least, high + least] } : {};
  };

  const frontiers = () => {
    const look = theme();
    if (!at("frontier-0")) data.panels.forEach((panel, number) => { // all places first: a chart takes the width that is there
      const place = made("div", undefined, "chart"), figure = made("div");
      place.id = `frontier-${number}`;
      figure.append(made("h3", panel.title), place);
      at("frontiers").append(figure);
    });
    data.panels.forEach((panel, number) => {
      const place = at(`frontier-${number}`);
      const points = panel.lines.flatMap((line) => line.points);
      const traces = panel.lines.map((line) => ({
        name: plain(line.way), mode: "lines+markers", x: line.points.map((p) => kept(p.sparsity)),
        y: line.points.map((p) => p.mean),
        error_y: { type: "data", array: line.points.map((p) => p.deviation || 0), visible: true, thickness: 1.5 },
        customdata: line.points.map((p) => [percent(p.sparsity), four(p.deviation) || "one run", p.runs]),
        hovertemplate: `${plain(line.way)}<br>%{customdata[0]} removed: %{y:.4f} ± %{customdata[1]} (%{customdata[2]} runs)<extra></extra>`,
        line: { color: COLORS[line.style % 6], dash: DASHES[Math.floor(line.style / 6) % 5] },
        marker: { symbol: SYMBOLS[line.style % 6], size: 8 },
      }));
      const ticks = [...new Set(points.map((p) => p.sparsity))].sort((a, b) => a - b);
      const shapes = panel.dense === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: panel.dense, y1: panel.dense,
        line: { color: look.soft, dash: "dash", width: 1.5 } }];
      const notes = panel.dense === null ? [] : [{ xref: "paper", x: 1, xanchor: "right", y: panel.dense, yanchor: "bottom",
        text: `dense ${four(panel.dense)}`, showarrow: false, font: { color: look.soft } }];
      draw(place, traces, { ...look.layout, shapes, annotations: notes,
        showlegend: true,
        xaxis: { ...look.axis, title: { text: "% removed (log of the kept)" },
          tickvals: ticks.map(kept), ticktext: ticks.map((s) => String(+(100 * s).toFixed(2))), ...around(ticks.map(kept), 0.1) },
        yaxis: { ...look.axis, title: { text: plain(`${panel.metric} \u2191`) },
          ...around([...points.map((p) => p.mean), ...(panel.dense === null ? [] : [panel.dense])], 0.02) },
      }, `${panel.title}: ${panel.metric} against sparsity, ${panel.lines.length} lines; the numbers are in the table below`);
    });
  };

  const curves = () => {
    const look = theme();
    const traces = [];
    [...ticked].map((index) => runs[index]).forEach((run, number) => {
      const color = COLORS[number % 6], dash = DASHES[number % 5], name = plain(run.name);
      const { steps, metric, sparsity, target, teacher } = run.curve;
      const shared = { x: steps, legendgroup: name, line: { color, dash }, marker: { symbol: SYMBOLS[number % 6], size: 6, color } };
      traces.push({ ...shared, name, y: metric, mode: "lines+markers", hovertemplate: `${name}<br>step %{x}: %{y:.4f}<extra></extra>` });
      const taught = steps.map((_, i) => i).filter((i) => teacher[i] > (i ? teacher[i - 1] : 0));
      traces.push({ x: taught.map((i) => steps[i]), y: taught.map((i) => metric[i]), mode: "markers", showlegend: false, legendgroup: name,
        marker: { symbol: "triangle-down", size: 13, color, line: { color: look.ink, width: 1 } },
        customdata: taught.map((i) => teacher[i]), hovertemplate: `${name}<br>teacher %{customdata} from step %{x}<extra></extra>` });
      traces.push({ ...shared, name, y: sparsity.map((s) => 100 * s), mode: "lines", yaxis: "y2", showlegend: false,
        hovertemplate: `${name}<br>step %{x}: %{y:.2f}% removed<extra></extra>` });
      traces.push({ x: steps, y: target.map((s) => 100 * s), mode: "lines", yaxis: "y2", showlegend: false, legendgroup: name,
        line: { color: look.soft, dash: "dot", width: 1 }, hovertemplate: `${name}<br>step %{x}: target %{y:.2f}%<extra></extra>` });
    });
    draw(at("curves"), traces, { ...look.layout, showlegend: true,
      xaxis: { ...look.axis, title: { text: "Optimizer step" }, anchor: "y2" },
      yaxis: { ...look.axis, domain: [0.42, 1], title: { text: "metric \u2191" } },
      yaxis2: { ...look.axis, domain: [0, 0.34], title: { text: "% removed" }, range: [-4, 104] },
    }, `Learning curves of ${ticked.size} runs: metric and sparsity over optimizer steps`);
  };

  const heat = (run) => {
    const look = theme();
    const names = data.layers[run.heat.layers] || [];
    const z = names.map((_, layer) => run.heat.cells.map((row) => (100 * (row.charCodeAt(layer) - HEAT_FROM)) / HEAT_STEPS));
    const place = at("heat");
    place.style.height = `${Math.max(20, 6 + 1.1 * names.length)}rem`;
    draw(place, names.length ? [{ type: "heatmap", x: run.heat.steps.map(String), y: names.map(plain), z, zmin: 0, zmax: 100, colorscale: "Cividis",
      colorbar: { title: { text: "% removed", side: "right" }, thickness: 12 },
      hovertemplate: "%{y}<br>step %{x}: %{z:.1f}% removed<extra></extra>" }] : [],
    { ...look.layout,
      xaxis: { ...look.axis, type: "category", title: { text: names.length ? "Optimizer step" : "no evaluation was written down" } },
      yaxis: { ...look.axis, autorange: "reversed", tickfont: { size: 10 } } },
    `Sparsity of ${names.length} layers of ${run.name} over ${run.heat.steps.length} evaluations`);
  };

  // Tables

  const columns = [
    { key: "name", title: "run", kind: "name" },
    { key: "state", title: "state" },
    { key: "task", title: "task" },
    { key: "model", title: "model" },
    ...data.keys.map((key) => ({ key: `by:${key}`, title: key })),
    { key: "seed", title: "seed", kind: "number" },
    { key: "primary_metric", title: "metric" },
    { key: "metric", title: "value", kind: "number", show: four },
    { key: "drop", title: "drop", kind: "number", show: (v) => (v === null ? "" : (v < 0 ? "" : "+") + v.toFixed(4)) },
    { key: "removed", title: "removed", kind: "number", show: percent },
    { key: "seconds", title: "time", kind: "number", show: clock },
    { key: "bytes", title: "size", kind: "number", show: (v) => (v === null ? "" : `${(v / 1e6).toFixed(1)} MB`) },
  ];
  const value = (run, key) => (key.startsWith("by:") ? run.by[key.slice(3)] : run[key]);
  const text = (run, column) => (column.show ? column.show(value(run, column.key) ?? null) : shown(value(run, column.key)));
  const searched = runs.map((run) => columns.map((column) => text(run, column)).join(" ").toLowerCase());

  const compared = (a, b) => {
    const empty = (v) => v === null || v === undefined;
    if (empty(a) || empty(b)) return empty(a) - empty(b);
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const select = () => {
    const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const task = at("task").value, state = at("state").value;
    matching = runs.map((_, index) => index).filter((index) =>
      (!task || runs[index].task === task) && (!state || runs[index].state === state) && words.every((word) => searched[index].includes(word)));
    matching.sort((a, b) => {
      const [x, y] = [value(runs[a], order.key), value(runs[b], order.key)];
      const missing = (x === null || x === undefined) || (y === null || y === undefined);
      return compared(x, y) * (order.down && !missing ? -1 : 1);
    });
    rows();
  };
  const rows = () => {
    const body = at("table").tBodies[0];
    body.replaceChildren(...matching.slice(0, limit).map((index) => {
      const run = runs[index], line = made("tr"), tick = made("input"), cell = made("td");
      tick.type = "checkbox";
      tick.checked = ticked.has(index);
      tick.setAttribute("aria-label", `Draw ${run.name}`);
      tick.addEventListener("change", () => pick(index, tick));
      cell.append(tick);
      line.append(cell, ...columns.map((column) => {
        const kind = column.key === "state" ? run.state : column.kind;
        const made_ = made("td", text(run, column), kind);
        if (column.key === "state" && run.problem) made_.title = run.problem;
        return made_;
      }));
      return line;
    }));
    const left = matching.length - Math.min(limit, matching.length);
    at("more").hidden = left === 0;
    at("more").textContent = `Show ${Math.min(ROWS, left)} more of ${matching.length}`;
    at("count").textContent = `${matching.length} of ${runs.length} runs`;
  };
  const pick = (index, tick) => {
    if (tick.checked && ticked.size >= MOST) { tick.checked = false; at("count").textContent = `${MOST} runs are drawn at most: untick one`; return; }
    if (tick.checked) { ticked.add(index); focus = index; } else ticked.delete(index);
    at("focus").value = String(focus);
    curves();
    details();
  };
  const details = () => {
    const run = runs[focus];
    const facts = { state: run.state, ...(run.problem ? { problem: run.problem } : {}), task: run.task, model: run.model, ...run.by,
      seed: run.seed, [run.primary_metric || "metric"]: four(run.metric), removed: percent(run.removed), "weights removed": run.zeros, time: clock(run.seconds), folder: run.path };
    at("facts").replaceChildren(...Object.entries(facts).filter(([, said]) => shown(said) !== "").flatMap(([name, said]) => [made("dt", name), made("dd", shown(said))]));
    at("command").textContent = run.command;
    heat(run);
    const names = [...new Set(run.samples.flatMap((sample) => Object.keys(sample)))].filter((name) => name !== "right");
    const table = at("samples");
    table.tHead.rows[0].replaceChildren(...["", ...names].map((name) => made("th", name)));
    table.tBodies[0].replaceChildren(...run.samples.map((sample) => {
      const line = made("tr");
      line.append(made("td", sample.right ? "✓ as expected" : "≠ other", sample.right ? "right" : "wrong"), ...names.map((name) => made("td", shown(sample[name]), "text")));
      return line;
    }));
    if (!run.samples.length) table.tBodies[0].replaceChildren(made("tr", "The run kept none."));
  };

  // The page

  const option = (label, said) => Object.assign(made("option", label), { value: said });
  const distinct = (key) => [...new Set(runs.map((run) => shown(run[key])))].filter(Boolean).sort();
  at("task").append(option("all", ""), ...distinct("task").map((name) => option(name, name)));
  at("state").append(option("all", ""), ...distinct("state").map((name) => option(name, name)));
  at("focus").append(...runs.map((run, index) => option(run.name, String(index))));
  at("focus").value = String(focus);
  at("summary").textContent = data.summary;
  at("findings").append(...data.findings.map((finding) => made("li", finding)));

  at("table").tHead.rows[0].append(made("th", "draw"), ...columns.map((column) => {
    const heading = made("th", undefined, column.kind === "number" ? "number" : ""), button = made("button", column.title);
    heading.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => {
      order = { key: column.key, down: order.key === column.key && !order.down };
      for (const other of at("table").tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      select();
    });
    heading.append(button);
    return heading;
  }));

  const numbers = made("table"), head = made("tr");
  head.append(...["task, model", "way", "removed", "mean", "sd", "runs", "drop"].map((name) => Object.assign(made("th", name), { scope: "col" })));
  const points = data.panels.flatMap((panel) => panel.lines.flatMap((line) => line.points.map((p) => [panel.title, line.way, percent(p.sparsity), four(p.mean), four(p.deviation), p.runs, four(p.drop)])));
  numbers.createTHead().append(head);
  numbers.createTBody().append(...points.map((cells) => { const line = made("tr"); line.append(...cells.map((cell) => made("td", shown(cell)))); return line; }));
  document.querySelector("#frontier-data .scroll").append(numbers);

  at("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["filter", "task", "state"]) at(id).addEventListener("input", () => { limit = ROWS; select(); });
  at("more").addEventListener("click", () => { limit += ROWS; rows(); });
  at("focus").addEventListener("input", () => { focus = Number(at("focus").value); details(); });
  at("copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(at("command").textContent); at("copy").textContent = "Copied"; } catch { getSelection().selectAllChildren(at("command")); at("copy").textContent = "Selected: press Ctrl-C"; }
  });
  const all = () => { frontiers(); curves(); details(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  // On paper there is no resizing: charts get the width of a page first, and their own afterwards.
  const sized = (layout) => { for (const chart of document.querySelectorAll(".chart")) Plotly.relayout(chart, layout); };
  addEventListener("beforeprint", () => { all(); sized({ width: PAPER, autosize: false }); });
  addEventListener("afterprint", () => { sized({ width: null, autosize: true }); all(); });
  select();
  all();
  document.documentElement.dataset.ready = "yes";
})();
