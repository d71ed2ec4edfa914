// Units over the text: what one unit of one signal did at every token.

const UNITS = {
  id: "units",
  title: "Units over the text",
  about: "Every token coloured by one unit: its state, its cell, or one of its gates, after the token was read. Search the text to see which units follow what you look for.",
  build(place) {
    const runs = having("units");
    if (!runs.length) return () => {};
    const search = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    search.addEventListener("input", () => state.set("units.search", search.value));
    place.append(make("div", { class: "controls" }, labelled("Search the text", search)));
    const readers = runs.map(reader);
    place.append(make("div", { class: "columns" }, ...readers.map(({ element }) => element)));
    return () => {
      const wanted = state.get("units.search");
      if (search.value !== wanted) search.value = wanted;
      readers.forEach(({ update }) => update(wanted));
    };
  },
};

// One run's text with its boxes, what was found, and the unit's course as a chart.
function reader({ run, index, part }) {
  const key = (name) => `units.${name}.${index}`;
  const ofLayer = (name) => part.layers.find(({ layer }) => layer === name);
  let layer = part.layers[0], shown = "", searched = "";
  const layers = chooser("Layer", key("layer"), () => part.layers.map((one) => one.layer));
  const signals = chooser("Signal", key("signal"), () => Object.keys(layer.signals));
  const units = chooser("Unit", key("unit"), () => Array.from(flat(layer.units), String));
  const step = (by) => {
    const names = Array.from(flat(layer.units), String), at = names.indexOf(shown);
    state.set(key("unit"), names[(at + by + names.length) % names.length]);
  };
  const text = textOf(part.tokens, key("token"));
  const course = chart(`units.course.${index}`, "The unit, token by token", "units.course");
  const suggestions = make("div", { class: "suggestions" }), bar = make("div");
  const element = make("div", { class: "panel" }, make("h3", {}, run.name),
    make("div", { class: "controls" }, layers.element, signals.element, units.element,
      button("Previous unit", () => step(-1)), button("Next unit", () => step(1))),
    foundList(part.found, key), suggestions, bar, text.element, text.output, course.element);
  function update(wanted) {
    const first = part.found[0]; // worth looking at before anything was chosen
    layer = ofLayer(layers.update(first?.layer));
    const isFirst = layer.layer === first?.layer;
    const signal = signals.update(isFirst ? first.signal : undefined);
    const unit = units.update(isFirst ? String(first.unit) : undefined);
    shown = unit;
    const values = column(layer.signals[signal], flat(layer.units).indexOf(Number(unit)));
    const found = matches(part.tokens, wanted);
    if (wanted !== searched) {
      searched = wanted;
      suggest(suggestions, part, found, wanted, key);
    }
    bar.replaceChildren(legend(values));
    text.colour(values, topOf(values), `${run.name}: the text, coloured by ${signal} of unit ${unit} in ${layer.layer}`, found);
    drawCourse(course, { run, index, part, values, found, wanted, key },
      `${signal} of unit ${unit} in ${layer.layer}`);
  }
  return { element, update };
}

// Buttons that choose a unit.
function choices(list, key, words) {
  return make("ul", {}, ...list.map((one) => make("li", {}, button(words(one), () => {
    state.set(key("layer"), one.layer);
    state.set(key("signal"), one.signal);
    state.set(key("unit"), one.unit);
  }))));
}

function foundList(found, key) {
  if (!found.length) return "";
  return make("div", { class: "suggestions" }, make("p", {}, "Found to follow a property of the text; scores are those on held-out text:"),
    choices(found, key, (one) =>
      `${one.property}: ${unitWords(one)}, ${one.measure} ${two(one.score)} (chance: below ${two(one.baseline)})`));
}

function suggest(place, part, found, wanted, key) {
  const count = found.reduce((sum, one) => sum + one, 0);
  if (!wanted) place.replaceChildren();
  else if (!count || count === found.length) {
    place.replaceChildren(make("p", { role: "status" }, count ? "Every token matches." : "No token matches."));
  } else {
    place.replaceChildren(
      make("p", { role: "status" }, `${count} tokens match. Units that follow them most, by correlation on this very text (a hint, not a finding):`),
      choices(followers(part, found), key, (one) => `${unitWords(one)}: ${two(one.score)}`));
  }
}

function unitWords({ layer, signal, unit }) {
  return `${signal}[${unit}], ${layer}`;
}

function two(score) {
  return score.toFixed(2).replace("-", "−");
}

function drawCourse(course, { run, index, part, values, found, wanted, key }, what) {
  const at = state.whole(key("token"), part.tokens.length, 0);
  const matched = Array.from(found.keys()).filter((i) => found[i]);
  course.draw({
    traces: [
      runLine(index, Array.from(values.keys()), values, {
        line: { color: COLOURS[index], width: 1.3 },
        text: part.tokens.map((token) => plain(visible(token).trim() || "space")),
        hovertemplate: "token %{x} “%{text}”: %{y:.3f}<extra></extra>", showlegend: false,
      }),
      runPoints(index, matched, matched.map((i) => values[i]), {
        marker: { color: INK, size: 6, symbol: "x-thin-open" }, name: "matches the search",
        hoverinfo: "skip", showlegend: matched.length > 0,
      }),
    ],
    layout: {
      xaxis: axis("token"), yaxis: axis(plain(what)), height: 260,
      shapes: [{ type: "line", yref: "paper", y0: 0, y1: 1, x0: at, x1: at, line: { color: INK, width: 1, dash: "dot" } }],
    },
    summary: `${run.name}, ${what}: from ${number(least(values))} to ${number(most(values))}.`,
    numbers: () => table(`${run.name}: ${what} at every token`,
      ["number", "token", "value", ...(wanted ? ["matches the search"] : [])],
      part.tokens.map((token, i) => [i, visible(token), values[i], ...(wanted ? [found[i] ? "yes" : "no"] : [])])),
  });
}

function least(values) {
  return values.reduce((low, value) => value < low ? value : low, Infinity);
}

function most(values) {
  return values.reduce((high, value) => value > high ? value : high, -Infinity);
}
