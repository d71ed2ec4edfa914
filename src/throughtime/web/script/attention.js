// Attention: where a network looked while it wrote, in a sentence or in a picture.

const ATTENTION = {
  id: "attention",
  title: "Where it looked",
  about: "The weights of the attention for each piece that was written: over the pieces of the sentence that was read, as a row of a heat map, or over the places of a picture, which is bright where the network looked.",
  build(place) {
    const runs = having("attention");
    if (!runs.length) return () => {};
    const panels = runs.map(looker);
    place.append(make("div", { class: "columns" }, ...panels.map(({ element }) => element)));
    return () => panels.forEach(({ update }) => update());
  },
};

const LONGEST_TITLE = 70; // letters of a choice

// One run's pictures and sentences, one at a time.
function looker({ run, index, part }) {
  const key = `attention.shown.${index}`, items = [...part.pictures, ...part.texts];
  const names = items.map(({ title }, i) => {
    const text = visible(title).trim();
    return `${i + 1}: ${text.length > LONGEST_TITLE ? `${text.slice(0, LONGEST_TITLE)}…` : text}`;
  });
  const choice = chooser(part.texts.length ? "Sentence" : "Picture", key, () => names);
  const step = (by) => {
    const at = Math.max(0, names.indexOf(choice.element.querySelector("select").value));
    state.set(key, names[(at + by + names.length) % names.length]);
  };
  const facts = make("dl", { class: "facts" }), looks = make("div", { class: "looks" });
  const heat = chart(`attention.heat.${index}`, "Attention", `attention.heat.${index}`);
  const weights = numbers(`attention.places.${index}`, "where it looked in the picture");
  const steps = items.length > 1 ? [button("Previous", () => step(-1)), button("Next", () => step(1))] : [];
  const element = make("div", { class: "panel" }, make("h3", {}, run.name),
    make("div", { class: "controls" }, choice.element, ...steps),
    facts, looks, weights.details, heat.element);
  let shown = null;
  function update() {
    const item = items[names.indexOf(choice.update())];
    if (item !== shown) {
      facts.replaceChildren(...Object.entries(item?.facts ?? {}).flatMap(([name, text]) =>
        [make("dt", {}, name), make("dd", {}, visible(text))]));
    }
    const isPicture = item && "picture" in item, isText = item && !isPicture;
    looks.hidden = weights.details.hidden = !isPicture;
    heat.element.hidden = !isText;
    if (isPicture) {
      if (item !== shown) looks.replaceChildren(...panes(item));
      weights.show(() => placesTable(run, item));
    } else if (isText) drawAlignment(heat, run, item);
    shown = item;
  }
  return { element, update };
}

// The picture, and once more for each word.
function panes({ title, words, maps, picture }) {
  const [, rows, columns] = maps.shape;
  const pane = (canvas, text) => make("div", { class: "look" }, canvas, make("span", {}, text));
  const whole = pane(colourPicture(picture, `The picture: ${visible(title)}`), "the picture");
  return [whole, ...words.map((word, i) => {
    const map = matrix(maps, i).flatMap((row) => Array.from(row)), top = map.indexOf(Math.max(...map));
    const where = `row ${Math.floor(top / columns) + 1} of ${rows}, column ${top % columns + 1} of ${columns}`;
    return pane(litPicture(picture, map, rows, columns, `${visible(word)}: brightest in ${where}`), visible(word) || "·");
  })];
}

function placesTable(run, { words, maps }) {
  const [, rows, columns] = maps.shape;
  const head = Array.from({ length: rows * columns }, (_, i) => `row ${Math.floor(i / columns) + 1}, column ${i % columns + 1}`);
  return table(`${run.name}: weight of every place of the picture, by word`, ["word", ...head],
    words.map((word, i) => [visible(word), ...matrix(maps, i).flatMap((row) => Array.from(row))]));
}

const PIECE = 22, NARROW = 420, LETTER = 12; // pixels: a row of a heat map, a small chart, a line of letters

// A heat map of written pieces (rows) against read ones (columns).
function drawAlignment(heat, run, { title, rows, columns, weights }) {
  const shares = matrix(weights), most = shares.reduce((high, row) => row.reduce((top, share) => Math.max(top, share), high), 0);
  const width = heat.plot.clientWidth, narrow = width < NARROW;
  const every = Math.max(1, Math.ceil(LETTER * columns.length / (width - (narrow ? 110 : 200)))); // so that names have room
  const names = (pieces) => pieces.map((piece) => plain(visible(piece).trim() || "·"));
  const [written, read] = [names(rows), names(columns)], places = (pieces) => [...pieces.keys()];
  const pieceAxis = (text, pieces, step, more) => {
    const named = places(pieces).filter((i) => i % step === 0);
    return axis(text, { tickvals: named, ticktext: named.map((i) => pieces[i]), tickfont: { size: 12 }, showgrid: false, ...more });
  };
  const bar = narrow ? { orientation: "h", y: 0, yanchor: "top" } : { title: { text: "weight", side: "right" } };
  heat.draw({
    traces: [{
      type: "heatmap", x: places(columns), y: places(rows), z: shares, zmin: 0, zmax: most || 1, colorscale: HEAT, xgap: 1, ygap: 1,
      text: written.map((row, t) => read.map((column, s) => `${row} ← ${column}: ${number(shares[t][s])}`)),
      hovertemplate: "%{text}<extra></extra>", colorbar: { thickness: 12, outlinewidth: 0, ...bar },
    }],
    layout: {
      xaxis: pieceAxis("read", read, every, { side: "top", tickangle: width / columns.length < 2 * LETTER ? -90 : -60 }),
      yaxis: pieceAxis(narrow ? "" : "written", written, 1, { autorange: "reversed" }),
      height: 150 + PIECE * Math.max(4, rows.length),
    },
    summary: `${run.name}, ${visible(title)}: ${rows.map((row, t) =>
      `${visible(row)} from ${visible(columns[shares[t].indexOf(Math.max(...shares[t]))] ?? "nothing")}`).join(", ")}.`,
    numbers: () => table(`${run.name}: weights of written pieces (rows) over read ones (columns)`,
      ["written", ...columns.map(visible)], rows.map((row, t) => [visible(row), ...shares[t]])),
  });
}
