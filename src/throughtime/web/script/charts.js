// Charts: Plotly with one look, keys, zoom kept in the address, and a table of numbers.

// Told apart by colour-blind readers, and in grey by dash and symbol (Okabe and Ito 2008).
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "diamond", "square", "triangle-up"];
const INK = "#222222", GRID = "#e4e4e4", NOTHING = "#f3f3f3";
const HEAT = "Cividis";

// A finger scrolls the page; it zooms with the buttons. Plotly's own bar of buttons offers to send
// charts away and hides parts of small ones: ours are real buttons.
const touch = matchMedia("(pointer: coarse)").matches;
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };

// Plotly reads a little markup in its texts: names of runs must not be any.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function axis(title, more = {}) {
  return {
    title: { text: title, standoff: 8, font: { size: 13 } }, automargin: true, gridcolor: GRID, zeroline: false,
    linecolor: "#888888", ticks: "outside", ticklen: 4, tickcolor: "#888888", ...more,
  };
}

// A logarithmic axis with so few marks that they are powers of ten.
function logAxis(title) {
  return axis(title, { type: "log", exponentformat: "power", nticks: 5, tickfont: { size: 12 } });
}

function look(layout) {
  return {
    font: { family: "system-ui, sans-serif", size: 13, color: INK },
    margin: { l: 58, r: 14, t: 12, b: 46 },
    paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff",
    hovermode: "closest", dragmode: touch ? false : "zoom",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    height: 330,
    ...layout,
  };
}

// Shares of lag 0 end where float32 can tell nothing, as long as nobody moves the chart.
function shareAxis(lines) {
  const least = Math.min(1, ...lines.flatMap((values) => Array.from(values).filter((value) => value > 0)));
  const most = Math.max(1, ...lines.flatMap((values) => Array.from(values).filter(Number.isFinite)));
  const range = [Math.log10(Math.max(least, 1e-8)) - 0.2, Math.log10(most) + 0.2];
  const marks = range[1] - range[0] < 2 ? { dtick: "D2" } : {}; // all ten digits would be too close
  return { ...logAxis("share of lag 0"), range, ...marks };
}

// A line of one run, in that run's colour and dash.
function runLine(index, x, y, more = {}) {
  return {
    type: "scatter", mode: "lines", name: plain(RUNS[index].name), x, y,
    line: { color: COLOURS[index], dash: DASHES[index], width: 2 }, ...more,
  };
}

// Points of one run, in that run's colour and symbol.
function runPoints(index, x, y, more = {}) {
  return {
    type: "scatter", mode: "markers", name: plain(RUNS[index].name), x, y,
    marker: { color: COLOURS[index], symbol: SYMBOLS[index], size: 7, opacity: 0.75 }, ...more,
  };
}

// A picture of a matrix of norms, values[y][x], on a logarithmic scale; `bar` says what is shown.
function heatmap(x, y, values, bar, hover) {
  return {
    type: "heatmap", x, y, z: values.map((row) => Array.from(row, logOf)),
    text: values.map((row) => Array.from(row, number)),
    colorscale: HEAT, hoverongaps: false, hovertemplate: `${hover}: %{text}<extra></extra>`,
    colorbar: { title: { text: `log<sub>10</sub> ${bar}`, side: "right" }, thickness: 12, outlinewidth: 0 },
  };
}

const NOUGHT = -99; // log10 of what is zero to the last bit: below every scale

function logOf(value) {
  return value > 0 ? Math.log10(value) : value === 0 ? NOUGHT : null;
}

// A level across the whole chart, with a word at its right end.
function level(y, text) {
  return {
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y,
      line: { color: "#777777", width: 1, dash: "dash" } }],
    annotations: [{ xref: "paper", x: 1, y: Math.log10(y), text, showarrow: false,
      xanchor: "right", yanchor: "bottom", font: { size: 11, color: "#555555" } }],
  };
}

// A chart in its figure. Charts with the same `zoom` are zoomed together: those of several runs.
function chart(id, title, zoom = id) {
  const key = `${zoom}.zoom`;
  const plot = make("div", { class: "plot", tabindex: "0", role: "img", "aria-keyshortcuts": "+ - 0 ArrowLeft ArrowRight ArrowUp ArrowDown" });
  const table = numbers(id, title);
  const reset = () => state.set(key, "");
  const tools = make("span", { class: "tools" },
    button("−", () => move(plot, "-"), `Zoom out: ${title}`),
    button("+", () => move(plot, "+"), `Zoom in: ${title}`),
    button("Reset", reset, `Reset the zoom: ${title}`));
  const caption = make("figcaption", {}, title, tools);
  const element = make("figure", { id: `chart-${id}` }, caption, plot, table.details);
  let listening = false;

  function keepZoom() {
    const { xaxis, yaxis } = plot.layout;
    const range = (one) => one.autorange ? "" : one.range.map((end) => Number(end).toPrecision(4));
    const text = [xaxis, yaxis].map(range).join(";");
    state.set(key, text === ";" ? "" : text);
  }

  function zoomed(layout) {
    const [x, y] = state.get(key).split(";").map((part) => part ? part.split(",").map(Number) : null);
    const within = (one, range) => range && range.length === 2 && range.every(Number.isFinite)
      ? { ...one, range, autorange: false } : one;
    return { ...layout, xaxis: within(layout.xaxis, x), yaxis: within(layout.yaxis, y) };
  }

  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0") reset();
    else if (!move(plot, event.key)) return;
    event.preventDefault();
  });
  return {
    element, plot,
    // `summary` is what a screen reader hears; `rows` builds the table.
    draw({ traces, layout, summary, numbers: build }) {
      plot.setAttribute("aria-label", `${title}. ${summary}`);
      Plotly.react(plot, traces, zoomed(look(layout)), CONFIG);
      table.show(build);
      if (listening) return;
      listening = true;
      plot.on("plotly_doubleclick", reset);
      plot.on("plotly_relayout", (changes) => {
        if (Object.keys(changes).some((name) => /^[xy]axis/.test(name))) keepZoom();
      });
    },
  };
}

// + and - zoom about the middle, arrows move by a fifth; whether the key was one of them.
function move(plot, key) {
  const moves = {
    "+": [0.5, 0, 0], "=": [0.5, 0, 0], "-": [2, 0, 0],
    ArrowLeft: [1, -0.2, 0], ArrowRight: [1, 0.2, 0], ArrowUp: [1, 0, 0.2], ArrowDown: [1, 0, -0.2],
  };
  const { xaxis, yaxis } = plot._fullLayout ?? {};
  if (!xaxis || !Object.hasOwn(moves, key)) return false;
  const [factor, right, up] = moves[key];
  const moved = ({ range: [a, b] }, shift) => {
    const middle = (a + b) / 2 + shift * (b - a), half = factor * (b - a) / 2;
    return [middle - half, middle + half];
  };
  Plotly.relayout(plot, { "xaxis.range": moved(xaxis, right), "yaxis.range": moved(yaxis, up) });
  return true;
}
