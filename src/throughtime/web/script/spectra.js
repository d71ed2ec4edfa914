// Jacobians: their eigenvalues in the complex plane, and how their products shrink or grow.

const SPECTRA = {
  id: "spectra",
  title: "Jacobians",
  about: "Eigenvalues of the step from one state to the next. On the unit circle a direction is remembered, inside it fades, outside it grows. Products of these Jacobians carry the gradient back.",
  build(place) {
    const runs = having("spectra");
    if (!runs.length) return () => {};
    const layer = chooser("Layer", "spectra.layer", () => namesOf(runs, (part) => part.layers.map((one) => one.layer)));
    const ofLayer = (name) => runs.map((one) => ({ ...one, spectra: one.part.layers.find((other) => other.layer === name) }))
      .filter(({ spectra }) => spectra);
    let now = [];
    const when = slider("Step", "spectra.step", () =>
      [...new Set(now.flatMap(({ spectra }) => Array.from(flat(spectra.step))))].sort((a, b) => a - b).map(String));
    const planes = panels(place, [layer.element, when.element], runs, (_, { index }) =>
      chart(`spectra.plane.${index}`, "Eigenvalues at the chosen step", "spectra.plane"));
    const product = chart("spectra.product", "Product of Jacobians over a lag");
    const exponents = chart("spectra.lyapunov", "Lyapunov spectrum");
    place.append(make("div", { class: "columns" }, product.element, exponents.element));
    return () => {
      now = ofLayer(layer.update());
      const steps = [...new Set(now.flatMap(({ spectra }) => Array.from(flat(spectra.step))))].sort((a, b) => a - b);
      const step = steps[when.update()];
      planes.each(({ index }, plane) => {
        const one = now.find((shown) => shown.index === index);
        plane.element.hidden = !one;
        if (one) drawPlane(plane, one, step);
      });
      drawProduct(product, now);
      const with_exponents = now.filter(({ spectra }) => spectra.lyapunov);
      exponents.element.hidden = !with_exponents.length;
      if (with_exponents.length) drawExponents(exponents, with_exponents);
    };
  },
};

const CIRCLE = { type: "circle", x0: -1, y0: -1, x1: 1, y1: 1, line: { color: INK, width: 1.5 } };

function drawPlane(plane, { run, index, spectra }, step) {
  const steps = flat(spectra.step);
  let at = 0;
  while (at + 1 < steps.length && steps[at + 1] <= step) at++;
  const real = line(spectra.real, at), imaginary = line(spectra.imaginary, at);
  const radius = flat(spectra.radius)[at], end = 1.1 * Math.max(1, Number.isFinite(radius) ? radius : 1);
  const outside = real.filter((value, i) => Math.hypot(value, imaginary[i]) > 1).length;
  plane.draw({
    traces: [runPoints(index, real, imaginary, {
      text: Array.from(real, (value, i) => Math.hypot(value, imaginary[i]).toFixed(3)),
      hovertemplate: "%{x:.3f} + %{y:.3f} i, length %{text}<extra></extra>",
    })],
    layout: {
      xaxis: axis("real part", { range: [-end, end], constrain: "domain" }),
      yaxis: axis("imaginary part", { range: [-end, end], scaleanchor: "x", constrain: "domain" }),
      shapes: [CIRCLE], height: 380,
    },
    summary: `${run.name}, step ${steps[at]}: spectral radius ${number(radius)}, ${outside} of ${real.length} eigenvalues outside the unit circle.`,
    numbers: () => table(`${run.name}: eigenvalues at step ${steps[at]}`, ["number", "real part", "imaginary part", "length"],
      Array.from(real, (value, i) => [i, value, imaginary[i], Math.hypot(value, imaginary[i])])),
  });
}

function drawProduct(product, now) {
  const series = now.map((one) => ({ ...one, norm: flat(one.spectra.product), bound: one.spectra.bound && flat(one.spectra.bound) }));
  product.draw({
    traces: series.flatMap(({ run, index, norm, bound }) => [
      runLine(index, lags(norm), norm, { hovertemplate: "lag %{x}: %{y:.2e}<extra>%{fullData.name}</extra>" }),
      ...(bound ? [runLine(index, lags(bound), bound, {
        line: { color: COLOURS[index], width: 1, dash: "longdashdot" }, name: `${plain(run.name)}, bound`,
        hovertemplate: "lag %{x}: at most %{y:.2e}<extra>%{fullData.name}</extra>",
      })] : []),
    ]),
    layout: { xaxis: axis("lag in steps"), yaxis: logAxis("largest singular value"), ...level(1, ""), showlegend: true },
    summary: series.map(({ run, norm }) => `${run.name}: ${number(norm.at(-1))} over ${norm.length - 1} steps.`).join(" "),
    numbers: () => table("Largest singular value of the product of Jacobians, and its bound",
      ["lag", ...series.flatMap(({ run, bound }) => [run.name, ...(bound ? [`${run.name}, bound`] : [])])],
      longest(series, ({ norm }) => norm).map((lag) =>
        [lag, ...series.flatMap(({ norm, bound }) => [norm[lag], ...(bound ? [bound[lag]] : [])])])),
  });
}

function drawExponents(exponents, with_exponents) {
  const series = with_exponents.map((one) => ({ ...one, values: flat(one.spectra.lyapunov) }));
  exponents.draw({
    traces: series.map(({ index, values }) => runPoints(index, lags(values), values, {
      hovertemplate: "exponent %{x}: %{y:.4f} per step<extra>%{fullData.name}</extra>",
    })),
    layout: { xaxis: axis("number of the exponent"), yaxis: axis("exponent per step", { zeroline: true }), showlegend: true },
    summary: series.map(({ run, values }) => `${run.name}: largest exponent ${number(values[0])} per step.`).join(" "),
    numbers: () => table("Lyapunov exponents per step", ["number", ...series.map(({ run }) => run.name)],
      longest(series, ({ values }) => values).map((i) => [i, ...series.map(({ values }) => values[i])])),
  });
}
