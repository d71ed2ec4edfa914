// Labels along time: a strip for each clip, true labels above predicted ones.

const LABELS = {
  id: "labels",
  title: "Labels along time",
  about: "The true label of every frame of some clips, below it what the frame was taken for, and a mark where the two differ.",
  build(place) {
    const runs = having("labels");
    if (!runs.length) return () => {};
    const clips = runs.map((one) => ({ ...one, clips: one.part.clips.map((clip, i) => strip(one, clip, `${one.index}.${i}`)) }));
    place.append(make("div", { class: "columns" }, ...clips.map(({ run, part, clips: all }) =>
      make("div", { class: "panel" }, make("h3", {}, run.name), kindsLegend(part), ...all.map(({ element }) => element)))));
    return () => clips.forEach(({ clips: all }) => all.forEach(({ update }) => update()));
  },
};

// The classes that the shown clips have, each with its colour.
function kindsLegend({ classes, clips }) {
  const kinds = new Set(clips.flatMap(({ truth, predicted }) => [...flat(truth), ...flat(predicted)]));
  return make("p", { class: "kinds legend" }, ...[...kinds].sort((a, b) => a - b).map((kind) => {
    const chip = make("span", { class: "chip" }, visible(classes[kind]));
    chip.style.backgroundColor = kindColour(kind);
    return chip;
  }));
}

// Stretches of equal numbers: [{ kind, first, end }].
function stretches(kinds) {
  const found = [];
  kinds.forEach((kind, t) => {
    if (found.at(-1)?.kind === kind) found.at(-1).end = t + 1;
    else found.push({ kind, first: t, end: t + 1 });
  });
  return found;
}

function strip({ run, part }, clip, id) {
  const truth = Array.from(flat(clip.truth)), predicted = Array.from(flat(clip.predicted)), probability = flat(clip.probability);
  const name = (kind) => visible(part.classes[kind]);
  const say = (kinds) => stretches(kinds).map(({ kind, first, end }) => `${name(kind)} ${first} to ${end - 1}`).join(", ");
  const row = (title, kinds, build) => [make("span", { class: "side" }, title), make("div", { class: "strip" }, ...stretches(kinds).map((one) => {
    const own = build(one);
    own.style.flexGrow = one.end - one.first;
    return own;
  }))];
  const labelOf = ({ kind, first, end }) => {
    const own = make("span", { class: "stretch", title: `${name(kind)}, frames ${first} to ${end - 1}` }, name(kind));
    own.style.backgroundColor = kindColour(kind);
    return own;
  };
  const film = Array.from(flat(clip.shown), (frame, i) => greyPicture(clip.frames, i, `frame ${frame}`));
  const grid = make("div", { class: "strips", role: "group", "aria-label": `${visible(clip.title)}. True: ${say(truth)}. Predicted: ${say(predicted)}.` },
    ...(film.length ? [make("span", { class: "side" }), make("div", { class: "film" }, ...film)] : []),
    ...row("true", truth, labelOf),
    ...row("predicted", predicted, labelOf),
    ...row("differ", truth.map((kind, t) => kind === predicted[t] ? 0 : 1), ({ kind }) => make("span", { class: kind ? "stretch apart" : "stretch" })),
    make("span", { class: "side" }, "frame"),
    make("div", { class: "ends" }, make("span", {}, "0"), make("span", {}, String(truth.length - 1))));
  const facts = Object.entries(clip.facts).map(([what, text]) => `${what}: ${visible(text)}`).join(", ");
  const details = numbers(`labels.clip.${id}`, visible(clip.title));
  return {
    element: make("div", { class: "answer" }, make("p", { class: "verdict" }, make("strong", {}, visible(clip.title)), ` ${facts}`), grid, details.details),
    update: () => details.show(() => table(`${run.name}, ${visible(clip.title)}: labels of every frame`,
      ["frame", "true", "predicted", "its probability"],
      truth.map((kind, t) => [t, name(kind), name(predicted[t]), percent(probability[t])]))),
  };
}
