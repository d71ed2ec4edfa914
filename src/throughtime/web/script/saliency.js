// Saliency: the words of some texts, and what each adds to the answer.

const ANSWERS = { "all answers": () => true, "wrong answers": (text) => !isRight(text), "right answers": isRight };

const SALIENCY = {
  id: "saliency",
  title: "Why each answer",
  about: "Some texts and the class each was taken for. A word is coloured by the nats it adds to the log-probability of that class, beside an unknown word in its place (integrated gradients): orange speaks for the answer, blue against it.",
  build(place) {
    const runs = having("saliency");
    if (!runs.length) return () => {};
    const show = chooser("Show", "saliency.show", () => Object.keys(ANSWERS));
    const all = Float32Array.from(runs.flatMap(({ part }) => part.texts.flatMap((text) => Array.from(flat(text.influence)))));
    const top = topOf(all);
    const panels = runs.map(({ run, index, part }) => ({
      run, texts: part.texts.map((text, i) => explained(run, text, `${index}.${i}`, top)),
    }));
    place.append(make("div", { class: "controls" }, show.element, legend(all, "against ", " nats for the answer")),
      make("div", { class: "columns" }, ...panels.map(({ run, texts }) =>
        make("div", { class: "panel" }, make("h3", {}, run.name), make("div", { class: "answers" }, ...texts.map(({ element }) => element))))));
    return () => {
      const isShown = ANSWERS[show.update()];
      for (const one of panels.flatMap(({ texts }) => texts)) {
        one.element.hidden = !isShown(one.text);
        one.update();
      }
    };
  },
};

function isRight({ truth, predicted }) {
  return truth === predicted;
}

// One text: the verdict, its words, and the numbers behind their colours.
function explained(run, text, id, top) {
  const right = isRight(text), influence = flat(text.influence);
  const verdict = [make("strong", {}, right ? "✓ right: " : "✗ wrong: "), `taken for “${visible(text.predicted)}” `,
    `with ${percent(text.probability)}`, right ? "" : `, it is “${visible(text.truth)}”`];
  const words = textOf(text.words, `saliency.token.${id}`, { first: -1, gap: " ", unit: " nats" });
  const details = numbers(`saliency.text.${id}`, visible(text.words.join(" ")));
  const sum = influence.reduce((total, nats) => total + nats, 0);
  const rows = () => [...text.words.map((word, i) => [visible(word), influence[i]]), ["all words together", sum]];
  const caption = `${run.name}: nats that each word adds to the log-probability of “${text.predicted}”`;
  return {
    text,
    element: make("div", { class: "answer" }, make("p", { class: "verdict" }, ...verdict), words.element, make("div", { class: "foot" }, details.details, words.output)),
    update() {
      words.colour(influence, top, `${run.name}: a text taken for ${text.predicted}, its words coloured by what they add to that`);
      details.show(() => table(caption, ["word", "nats"], rows()));
    },
  };
}
