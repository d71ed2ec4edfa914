// Gates: how open they are, how often they are shut or stand open, how long they remember.

const GATES = {
  id: "gates",
  title: "Gates",
  about: "A gate that is all open or all shut hardly learns. In the map every mark is one unit: far right its gate is at the top of its range most of the time, far up at the bottom.",
  build(place) {
    const runs = having("gates");
    if (!runs.length) return () => {};
    const ofLayer = (name) => runs.map((one) => ({ ...one, gates: one.part.layers.find(({ layer }) => layer === name) }))
      .filter(({ gates }) => gates);
    const layer = chooser("Layer", "gates.layer", () => namesOf(runs, (part) => part.layers.map((one) => one.layer)));
    let now = "";
    const gate = chooser("Gate", "gates.gate", () =>
      [...new Set(ofLayer(now).flatMap(({ gates }) => gates.gates))]);
    const share = chart("gates.share", "How often a gate has which value");
    const map = chart("gates.map", "Saturated units");
    const times = chart("gates.time", "Time constants of the units");
    place.append(make("div", { class: "controls" }, layer.element, gate.element),
      make("div", { class: "columns" }, share.element, map.element, times.element));
    return () => {
      now = layer.update();
      const all = ofLayer(now);
      const word = gate.update(all.some(({ gates }) => gates.gates.includes("forget")) ? "forget" : undefined);
      const at = all.map((one) => ({ ...one, row: one.gates.gates.indexOf(word) })).filter(({ row }) => row >= 0);
      drawShare(share, at, word);
      drawMap(map, at, word);
      const timed = all.filter(({ gates }) => gates.time_constant)
        .map((one) => ({ ...one, times: flat(one.gates.time_constant) }));
      times.element.hidden = !timed.length;
      if (timed.length) drawTimes(times, timed);
    };
  },
};

function drawShare(share, at, word) {
  const bars = at.map(({ run, index, gates, row }) => {
    const edges = line(gates.edges, row);
    const middles = Array.from(edges.subarray(1), (edge, i) => (edge + edges[i]) / 2);
    return { run, index, edges, middles, parts: line(gates.share, row) };
  });
  share.draw({
    traces: bars.map(({ index, middles, parts }) => runLine(index, middles, parts, {
      line: { color: COLOURS[index], dash: DASHES[index], width: 2, shape: "hvh" },
      hovertemplate: "%{x:.2f}: %{y:.1%}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      xaxis: axis(`value of the ${plain(word)} gate`),
      yaxis: axis("share of all values", { tickformat: ".0%", rangemode: "tozero" }), showlegend: true,
    },
    summary: bars.map(({ run, parts }) =>
      `${run.name}: ${percent(parts[0])} in the lowest bin, ${percent(parts.at(-1))} in the highest.`).join(" "),
    numbers: () => table(`Share of all values of the ${word} gate, by value`,
      ["value", ...bars.map(({ run }) => run.name)],
      Array.from(bars[0].middles, (middle, i) =>
        [`${number(bars[0].edges[i])} to ${number(bars[0].edges[i + 1])}`, ...bars.map(({ parts }) => percent(parts[i]))])),
  });
}

function drawMap(map, at, word) {
  const margin = at[0].part.margin;
  const units = at.map((one) => ({ ...one, left: line(one.gates.left, one.row), right: line(one.gates.right, one.row) }));
  map.draw({
    traces: units.map(({ index, left, right }) => runPoints(index, right, left, {
      text: Array.from(left, (_, unit) => `unit ${unit}`),
      hovertemplate: "%{text}: bottom %{y:.1%}, top %{x:.1%}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      xaxis: axis(`share of steps within ${margin} of the top`, { tickformat: ".0%", range: [-0.03, 1.03] }),
      yaxis: axis(`share of steps within ${margin} of the bottom`, { tickformat: ".0%", range: [-0.03, 1.03] }),
      shapes: [{ type: "line", x0: 0, y0: 1, x1: 1, y1: 0, line: { color: "#999999", width: 1, dash: "dot" } }],
      showlegend: true,
    },
    summary: units.map(({ run, left, right }) => `${run.name}, ${word} gate: ` +
      `${left.filter((share) => share > 0.5).length} of ${left.length} units at the bottom more than half of the time, ` +
      `${right.filter((share) => share > 0.5).length} at the top.`).join(" "),
    numbers: () => table(`Share of steps at which a unit's ${word} gate is within ${margin} of its bounds`,
      ["run and unit", "bottom", "top"],
      units.flatMap(({ run, left, right }) =>
        Array.from(left, (share, unit) => [`${run.name}, ${unit}`, percent(share), percent(right[unit])]))),
  });
}

function drawTimes(times, timed) {
  const sorted = timed.map((one) => ({ ...one, steps: Float32Array.from(one.times).sort() }));
  times.draw({
    traces: sorted.map(({ index, steps }) =>
      runLine(index, Array.from(steps, (_, i) => (i + 0.5) / steps.length), steps, {
        hovertemplate: "%{x:.0%} of the units: at most %{y:.3g} steps<extra>%{fullData.name}</extra>",
      })),
    layout: {
      xaxis: axis("share of the units", { tickformat: ".0%", range: [0, 1] }),
      yaxis: logAxis("time constant in steps"), showlegend: true,
    },
    summary: sorted.map(({ run, steps }) =>
      `${run.name}: median ${number(steps[Math.floor(steps.length / 2)])} steps, longest ${number(steps.at(-1))}.`).join(" "),
    numbers: () => table("Time constant of every unit in steps", ["run and unit", "steps"],
      timed.flatMap(({ run, times: steps }) => Array.from(steps, (value, unit) => [`${run.name}, ${unit}`, value]))),
  });
}
