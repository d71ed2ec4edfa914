// Gradient flow: how far back the gradient of one loss reaches, after training and through it.

const FLOW = {
  id: "flow",
  title: "Gradient flow",
  about: "The norm of the gradient of one loss with respect to the state k steps before it, relative to k = 0. Where the line is low, no loss teaches those steps.",
  build(place) {
    const runs = having("flow");
    if (!runs.length) return () => {};
    const layer = chooser("Layer", "flow.layer", () => namesOf(runs, (part) => part.layers));
    const after = chart("flow.lag", "Gradient by lag, after training");
    place.append(make("div", { class: "controls" }, layer.element), after.element);
    const recorded = runs.filter(({ part }) => part.update.shape[0]);
    const drawTraining = recorded.length ? buildTraining(place, recorded) : () => {};
    return () => {
      const name = layer.update();
      const ofLayer = (list) => list.filter(({ part }) => part.layers.includes(name))
        .map((one) => ({ ...one, layer: one.part.layers.indexOf(name) }));
      drawFlow(after, ofLayer(runs));
      drawTraining(ofLayer(recorded));
    };
  },
};

function drawFlow(after, at) {
  const series = at.map((one) => {
    const norm = line(one.part.norm, one.layer);
    return { ...one, share: norm.map((value) => value / norm[0]) };
  });
  drawShares(after, series, "Gradient norm as a share of that at lag 0, after training");
}

// A line for each run, of shares by lag; shared by both charts of lines.
function drawShares(place, series, caption) {
  const words = series.map(({ run, share }) => {
    const lag = horizonOf(share);
    return `${run.name}: ${lag === null ? "never under 1 %" : `under 1 % after ${lag} steps`}.`;
  });
  place.draw({
    traces: series.map(({ index, share }) => runLine(index, lags(share), share, {
      hovertemplate: "lag %{x}: %{y:.2e}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      xaxis: axis("lag k in steps"), yaxis: shareAxis(series.map(({ share }) => share)),
      ...level(0.01, "1 %"), showlegend: true,
    },
    summary: words.join(" "),
    numbers: () => table(caption, ["lag", ...series.map(({ run }) => run.name)],
      longest(series, ({ share }) => share).map((lag) => [lag, ...series.map(({ share }) => share[lag])])),
  });
}

// The first lag whose share is under 1 %, or was not followed any further; null if there is none.
function horizonOf(share) {
  const lag = share.findIndex((value) => !(value >= 0.01));
  return lag < 0 ? null : lag;
}

// What flight recorders read while training: a slider, a line at its update, and all updates.
function buildTraining(place, recorded) {
  const updates = [...new Set(recorded.flatMap(({ part }) => Array.from(flat(part.update))))].sort((a, b) => a - b);
  const when = slider("Update", "flow.update", () => updates.map(String));
  const lines = chart("flow.reach", "Reach at the chosen update");
  const heats = panels(place, [when.element], recorded, (_, { index }) =>
    chart(`flow.training.${index}`, "Reach through training", "flow.training"), lines);
  return (at) => {
    const update = updates[when.update()];
    const read = at.map((one) => ({ ...one, ...readingAt(one.part, one.layer, update) }));
    drawShares(lines, read, `Share of the gradient at lag 0, at update ${update}; it is followed down to 1 %`);
    heats.each(({ index }, heat) => {
      const one = read.find((shown) => shown.index === index);
      heat.element.hidden = !one;
      if (one) drawTrainingOf(heat, one);
    });
  };
}

// The latest reading not after an update, with its place; the first where all are.
function readingAt(part, layer, update) {
  const updates = flat(part.update), all = matrix(part.reach, layer);
  let place = 0;
  while (place + 1 < updates.length && updates[place + 1] <= update) place++;
  return { place, all, share: all[place] };
}

function drawTrainingOf(heat, { run, part, all, place }) {
  const updates = Array.from(flat(part.update));
  const byLag = Array.from(all[0], (_, lag) => all.map((share) => share[lag]));
  heat.draw({
    traces: [{ ...heatmap(updates, lags(all[0]), byLag, "share of lag 0", "update %{x}, lag %{y}"), zmin: -2, zmax: 0 }],
    layout: {
      xaxis: axis("updates made"), yaxis: axis("lag k"), plot_bgcolor: NOTHING,
      shapes: [{ type: "line", yref: "paper", y0: 0, y1: 1, x0: updates[place], x1: updates[place],
        line: { color: "#D55E00", width: 2 } }],
    },
    summary: `${run.name}, ${updates.length} readings from update ${updates[0]} to ${updates.at(-1)}; ` +
      `under 1 % after ${number(horizonOf(all[0]))} steps at first, ${number(horizonOf(all.at(-1)))} at last.`,
    numbers: () => table(`${run.name}: share of the gradient at lag 0, by lag (rows) and update (columns)`,
      ["lag", ...updates.map(String)], byLag.map((row, lag) => [lag, ...row])),
  });
}
