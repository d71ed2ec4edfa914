// The page: sections in order, each drawn when the reader comes near it.

// A task has some of the sections; those of its runs are shown, with a sentence where one has no data.
const SECTIONS = [CURVES, SALIENCY, ATTENTION, LABELS, FLOW, CREDIT, GATES, UNITS, SPECTRA, POINTS]
  .filter(({ id }) => RUNS.some((run) => run[id]));

function overview() {
  const names = [...new Set(RUNS.flatMap((run) => Object.keys(run.facts)))];
  const facts = table("The runs", ["", ...RUNS.map((run) => run.name)],
    names.map((name) => [name, ...RUNS.map((run) => run.facts[name] ?? "–")]));
  return make("section", { id: "runs", "aria-labelledby": "heading-runs" },
    make("h2", { id: "heading-runs" }, RUNS.length > 1 ? "Runs" : "Run"), facts);
}

// Why runs lack a section, and what part of the measurements is shown; said once for all runs alike.
function remarks(id) {
  const said = new Map();
  for (const { name, [id]: part } of RUNS) {
    if (!part) continue;
    const text = isMissing(part) ? part.reason : part.sampling;
    if (text) said.set(text, [...said.get(text) ?? [], name]);
  }
  return Array.from(said, ([text, names]) => {
    const missing = isMissing(RUNS.find(({ name }) => name === names[0])[id]);
    const prefix = names.length === RUNS.length ? "" : `${names.join(", ")}: `;
    return make("p", { class: missing ? "missing" : "sampling" }, prefix + text);
  });
}

function build(section) {
  const heading = make("h2", { id: `heading-${section.id}`, tabindex: "-1" }, section.title);
  const element = make("section", { id: section.id, "aria-labelledby": heading.id },
    heading, make("p", { class: "about" }, section.about));
  let update = null;
  return {
    id: section.id,
    element,
    heading,
    // Draws what is not drawn yet.
    draw() {
      if (update) return;
      loadPlotly();
      update = section.build(element);
      element.append(...remarks(section.id));
      update();
      element.dataset.drawn = "";
    },
    changed: (key) => update && (key === null || key.startsWith(`${section.id}.`)) && update(),
  };
}

function goTo(section, smooth) {
  if (!section) return;
  section.draw();
  section.element.scrollIntoView({ behavior: smooth ? "smooth" : "instant" });
}

function start() {
  const title = RUNS.map((run) => run.name).join(" beside ");
  document.title = `${title} – throughtime`;
  document.getElementById("title").textContent = title;
  document.body.classList.toggle("single", RUNS.length === 1);
  const sections = SECTIONS.map(build);
  document.getElementById("sections").append(overview(), ...sections.map(({ element }) => element));
  const charts = () => sections.forEach(({ element }) => watcher.observe(element));
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) sections.find(({ element }) => element === target).draw();
    }
  }, { rootMargin: "400px" });
  const goToChosen = () => goTo(sections.find(({ id }) => id === state.get("section")), false);
  state.listen((key) => {
    sections.forEach((section) => section.changed(key));
    if (key === null) goToChosen();
  });

  const links = SECTIONS.map(({ id, title: text }) => make("a", { href: `#section=${id}`, "data-section": id }, text));
  document.getElementById("contents").append(...links);
  document.addEventListener("click", (event) => {
    const id = event.target.dataset?.section;
    if (!id) return;
    event.preventDefault(); // the address keeps everything else that was chosen
    state.set("section", id);
    const section = sections.find((one) => one.id === id);
    goTo(section, !matchMedia("(prefers-reduced-motion: reduce)").matches);
    section.heading.focus({ preventScroll: true });
  });
  const all = () => sections.forEach((section) => section.draw());
  addEventListener("beforeprint", () => {
    all();
    fitCharts(PAPER);
  });
  addEventListener("afterprint", () => fitCharts(null));
  // The page is there to be read before the second that the charts' library takes to start.
  requestAnimationFrame(() => setTimeout(() => {
    charts();
    goToChosen();
  }));
}

// Plotly is kept as text until it is wanted; then it runs at once, by its hash in the policy.
function loadPlotly() {
  const kept = document.getElementById("plotly");
  if (!kept) return;
  const script = make("script", {}, kept.textContent);
  kept.remove();
  document.head.append(script);
}

const PAPER = 680; // pixels: the width between the margins of A4 and of letter paper

// Charts are drawn for a width in pixels: that of the paper while printing.
function fitCharts(width) {
  for (const plot of document.querySelectorAll(".plot.js-plotly-plot")) {
    const columns = plot.closest(".columns") ? Math.min(2, plot.closest(".columns").children.length) : 1;
    Plotly.relayout(plot, width ? { width: width / columns - 10, autosize: false } : { width: null, autosize: true });
  }
}

start();
