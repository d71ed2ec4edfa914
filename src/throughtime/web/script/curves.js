// Learning curves: the loss against updates, all runs in one chart.

const CURVES = {
  id: "curves",
  title: "Learning curves",
  about: "The loss on what is being learnt (thin, with dropout and whatever else belongs to training) and on what was held out (thick, with marks), by updates made.",
  build(place) {
    const runs = having("curves");
    if (!runs.length) return () => {};
    const loss = chart("curves.loss", "Loss by update");
    place.append(loss.element);
    const unit = runs[0].part.loss;
    const traces = runs.flatMap(({ run, index, part }) => [
      runLine(index, flat(part.update), flat(part.training), {
        line: { color: COLOURS[index], width: 1 }, opacity: 0.55,
        name: `${plain(run.name)}, training`,
        hovertemplate: "update %{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
      }),
      runLine(index, flat(part.validation_update), flat(part.validation), {
        mode: "lines+markers", marker: { symbol: SYMBOLS[index], size: 6 },
        name: `${plain(run.name)}, held out`,
        hovertemplate: "update %{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
      }),
    ]).filter(({ x }) => x.length);
    const base = runs.map(({ part }) => part.baseline).find((value) => value !== null) ?? null;
    const shapes = base === null ? {} : {
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: base, y1: base,
        line: { color: INK, width: 1, dash: "dot" } }],
      annotations: [{ xref: "paper", x: 1, y: base, text: "best answer without memory",
        showarrow: false, xanchor: "right", yanchor: "bottom", font: { size: 11 } }],
    };
    return () => loss.draw({
      traces,
      layout: { xaxis: axis("updates made"), yaxis: axis(`loss: ${plain(unit)}`), ...shapes },
      summary: runs.map(({ run, part }) => curveWords(run, part)).join(" "),
      numbers: () => table(`Loss in ${unit} by update`, ["run", "loss", "update", unit], curveRows(runs)),
    });
  },
};

function curveWords(run, { validation, training }) {
  const best = flat(validation).reduce((low, value) => Math.min(low, value), Infinity);
  const last = flat(training).at(-1);
  const held = Number.isFinite(best) ? `, best held out ${number(best)}` : "";
  return `${run.name}: training ends at ${number(last)}${held}.`;
}

function curveRows(runs) {
  const list = (name, what, updates, losses) =>
    Array.from(updates, (update, i) => [name, what, update, losses[i]]);
  return runs.flatMap(({ run, part }) => [
    ...list(run.name, "training", flat(part.update), flat(part.training)),
    ...list(run.name, "held out", flat(part.validation_update), flat(part.validation)),
  ]);
}
