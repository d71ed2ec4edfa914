// Fixed points: states that a step leaves where they are, seen in the plane of visited states.

const POINTS = {
  id: "points",
  title: "Fixed points",
  about: "States that one step hardly changes while the input stays the same, on the first two principal components of the states that were visited (grey). Filled: stable; open: not.",
  build(place) {
    const runs = having("points");
    if (!runs.length) return () => {};
    const input = chooser("Input", "points.input", () => namesOf(runs, (part) => part.layers.map(({ name }) => name)));
    const maps = panels(place, [input.element], runs, (_, { index }) =>
      chart(`points.map.${index}`, "Fixed and slow points", `points.map.${index}`));
    return () => {
      const name = input.update();
      maps.each(({ run, index, part }, map) => {
        const one = part.layers.find((other) => other.name === name);
        map.element.hidden = !one;
        if (one) drawPoints(map, run, index, one);
      });
    };
  },
};

// All trajectories as one line with gaps.
function pathsOf(packed) {
  const x = [], y = [];
  for (let row = 0; row < packed.shape[0]; row++) {
    for (const [a, b] of matrix(packed, row)) {
      x.push(a);
      y.push(b);
    }
    x.push(null);
    y.push(null);
  }
  return { x, y };
}

function drawPoints(map, run, index, { name, points, speed, radius, unstable, paths, explained }) {
  const places = matrix(points), q = flat(speed), radii = flat(radius), outside = flat(unstable);
  const all = places.map(([x, y], i) => ({ x, y, i }));
  const kind = (word, chosen, symbol) => ({
    type: "scatter", mode: "markers", name: word, x: chosen.map(({ x }) => x), y: chosen.map(({ y }) => y),
    marker: { color: COLOURS[index], symbol, size: 10, line: { width: 2, color: COLOURS[index] } },
    text: chosen.map(({ i }) => `q ${q[i].toExponential(1)}, largest |eigenvalue| ${radii[i].toFixed(3)}, ${outside[i]} outside`),
    hovertemplate: "%{text}<extra></extra>",
  });
  const stable = all.filter(({ i }) => !outside[i]), others = all.filter(({ i }) => outside[i]);
  map.draw({
    traces: [
      { type: "scatter", mode: "lines", name: "visited states", ...pathsOf(paths), hoverinfo: "skip",
        line: { color: "#9a9a9a", width: 0.8 }, opacity: 0.6 },
      kind("stable", stable, "circle"), kind("not stable", others, "circle-open"),
    ],
    layout: {
      xaxis: axis(`component 1 (${percent(explained[0])} of the variance)`),
      yaxis: axis(`component 2 (${percent(explained[1])})`), showlegend: true, height: 400,
    },
    summary: `${run.name}, ${name}: ${all.length} points, ${stable.length} of them stable.`,
    numbers: () => table(`${run.name}: fixed and slow points, ${name}`,
      ["number", "component 1", "component 2", "q", "largest |eigenvalue|", "eigenvalues outside"],
      all.map(({ x, y, i }) => [i, x, y, q[i], radii[i], outside[i]])),
  });
}
