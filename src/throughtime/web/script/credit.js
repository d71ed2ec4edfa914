// Credit: which loss teaches which step.

const CREDIT = {
  id: "credit",
  title: "Credit",
  about: "Each row of the picture is the loss of one step t, each column a state k before it; the colour is the norm of dL_t/dh_k. A bright band along the diagonal only: the network learns from the recent past alone.",
  build(place) {
    const runs = having("credit");
    if (!runs.length) return () => {};
    const layer = chooser("Layer", "credit.layer", () => namesOf(runs, (part) => part.layers));
    const lines = chart("credit.lag", "Credit by lag");
    const horizon = make("p", { class: "finding" });
    const heats = panels(place, [layer.element], runs, (_, { index }) =>
      chart(`credit.matrix.${index}`, "Which loss teaches which step", "credit.matrix"), lines);
    lines.element.before(horizon);
    return () => {
      const name = layer.update();
      const at = runs.filter(({ part }) => part.layers.includes(name))
        .map((one) => ({ ...one, layer: one.part.layers.indexOf(name) }));
      horizon.textContent = `Memory horizon, the lag where credit falls under 1 %: ${at
        .map(({ run, part, layer: l }) => `${run.name} ${part.horizon[l]}`).join("; ")}.`;
      drawCreditLines(lines, at);
      // one scale for all runs, so that colours can be compared
      const most = Math.max(...at.map(({ part, layer: l }) => logOf(topNorm(matrix(part.norm, l)))));
      heats.each(({ index }, heat) => {
        const one = at.find((shown) => shown.index === index);
        heat.element.hidden = !one;
        if (one) drawCreditMatrix(heat, one, most);
      });
    };
  },
};

function drawCreditLines(lines, at) {
  const series = at.map((one) =>
    ({ ...one, lag: flat(one.part.lag), share: line(one.part.by_lag, one.layer) }));
  lines.draw({
    traces: series.map(({ index, lag, share }) => runLine(index, lag, share, {
      hovertemplate: "lag %{x}: %{y:.2e}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      xaxis: axis("lag |t − k| in steps"), yaxis: shareAxis(series.map(({ share }) => share)), ...level(0.01, "1 %"),
      showlegend: true,
    },
    summary: series.map(({ run, part, layer }) => `${run.name}: memory horizon ${part.horizon[layer]}.`).join(" "),
    numbers: () => table("Mean credit as a share of lag 0, and the memory horizon",
      ["lag", ...series.map(({ run }) => run.name)],
      [...longest(series, ({ share }) => share).map((lag) => [lag, ...series.map(({ share }) => share[lag])]),
        ["memory horizon", ...series.map(({ part, layer }) => part.horizon[layer])]]),
  });
}

function topNorm(norms) {
  return norms.reduce((high, row) => row.reduce((most, value) => value > most ? value : most, high), 0);
}

function drawCreditMatrix(heat, { run, part, layer }, most) {
  const norms = matrix(part.norm, layer);
  heat.draw({
    traces: [{
      ...heatmap(flat(part.state_step), flat(part.loss_step), norms,
        "|dL<sub>t</sub>/dh<sub>k</sub>|", "loss t = %{y}, state k = %{x}"),
      zmax: most, zmin: most - 6,
    }],
    layout: {
      xaxis: axis("state at step k"), yaxis: axis("loss at step t", { autorange: "reversed" }),
      plot_bgcolor: NOTHING, height: 380,
    },
    summary: `${run.name}: memory horizon ${part.horizon[layer]}.`,
    numbers: () => table(`${run.name}: norm of dL_t/dh_k, by t (rows) and k (columns)`,
      ["t", ...Array.from(flat(part.state_step), String)],
      norms.map((row, t) => [flat(part.loss_step)[t], ...row])),
  });
}
