// Gradient flow: how far back the gradient of one loss reaches, at the end and through training.

const FLOW = {
  id: "flow",
  title: "Gradient flow",
  about: "The norm of the gradient of one loss with respect to the state k steps before it, relative to k = 0. Where the line is low, no loss teaches those steps.",
  build(place) {
    const runs = having("flow");
    if (!runs.length) return () => {};
    const layer = chooser("Layer", "flow.layer", () => namesOf(runs, (part) => part.layers));
    // The slider's places are the updates at which any run was measured.
    const updates = [...new Set(runs.flatMap(({ part }) => Array.from(flat(part.update))))].sort((a, b) => a - b);
    const when = slider("Update", "flow.update", () => updates.map(String));
    const lines = chart("flow.lag", "Gradient by lag, at the chosen update");
    const heats = panels(place, [layer.element, when.element], runs, (_, { index }) =>
      chart(`flow.training.${index}`, "Gradient by lag, through training", "flow.training"), lines);
    return () => {
      const name = layer.update(), update = updates[when.update()];
      const at = runs.filter(({ part }) => part.layers.includes(name))
        .map((one) => ({ ...one, ...shares(one.part, name, update) }));
      drawFlowLines(lines, at, update);
      heats.each(({ index, part, run }, heat) => {
        const one = at.find((shown) => shown.index === index);
        const many = one && part.update.shape[0] > 1;
        heat.element.hidden = !many;
        if (many) drawFlowHeat(heat, one, run, update);
      });
    };
  },
};

// Of the latest measurement not after an update: its norms as shares of lag 0, and its place.
function shares(part, name, update) {
  const layer = part.layers.indexOf(name), updates = flat(part.update);
  let at = 0;
  while (at + 1 < updates.length && updates[at + 1] <= update) at++;
  const all = matrix(part.norm, layer).map((norms) => norms.map((value) => value / norms[0]));
  return { at, all, share: all[at] };
}

// The lag from which on a share stays unmeasured or first falls under 1 %.
function horizonOf(share) {
  const lag = share.findIndex((value) => value < 0.01);
  return lag < 0 ? null : lag;
}

function drawFlowLines(lines, at, update) {
  const words = at.map(({ run, share }) => {
    const lag = horizonOf(share);
    return `${run.name}: ${lag === null ? "never under 1 %" : `under 1 % after ${lag} steps`}.`;
  });
  lines.draw({
    traces: at.map(({ index, share }) => runLine(index, lags(share), share, {
      hovertemplate: "lag %{x}: %{y:.2e}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      xaxis: axis("lag k: steps back in time"), yaxis: shareAxis(at.map(({ share }) => share)), ...level(0.01, "1 %"),
      showlegend: true,
    },
    summary: `Update ${update}. ${words.join(" ")}`,
    numbers: () => table(`Gradient norm as a share of that at lag 0, update ${update}`,
      ["lag", ...at.map(({ run }) => run.name)],
      longest(at, ({ share }) => share).map((lag) => [lag, ...at.map(({ share }) => share[lag])])),
  });
}

function drawFlowHeat(heat, { part, all, at }, run, update) {
  const updates = Array.from(flat(part.update));
  const byLag = Array.from(all[0], (_, lag) => all.map((share) => share[lag]));
  heat.draw({
    traces: [{
      ...heatmap(updates, lags(all[0]), byLag, "share of lag 0", "update %{x}, lag %{y}"),
      zmin: -8, zmax: 0,
    }],
    layout: {
      xaxis: axis("updates made"), yaxis: axis("lag k"), plot_bgcolor: NOTHING,
      shapes: [{ type: "line", yref: "paper", y0: 0, y1: 1, x0: updates[at], x1: updates[at],
        line: { color: "#D55E00", width: 2 } }],
    },
    summary: `${run.name}, ${updates.length} measurements from update ${updates[0]} to ${updates.at(-1)}; ` +
      `under 1 % after ${number(horizonOf(all[0]))} steps at first, ${number(horizonOf(all.at(-1)))} at last.`,
    numbers: () => table(`${run.name}: gradient norm as a share of lag 0, by lag (rows) and update (columns)`,
      ["lag", ...updates.map(String)],
      byLag.map((row, lag) => [lag, ...row])),
  });
}
