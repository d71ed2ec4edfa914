// A text as marks that are coloured by numbers; arrows, the pointer or a finger choose one.

// `key` is where the address keeps the chosen mark, `first` what is chosen before a reader does, -1
// for none; `gap` stands between marks, `unit` behind values.
function textOf(tokens, key, { first = 0, gap = "", unit = "" } = {}) {
  const marks = tokens.map((token, i) => {
    const mark = make("span", { class: "token" }, visible(token));
    mark.dataset.token = i;
    return mark;
  });
  const element = make("div", { class: "reader", tabindex: "0", role: "group" },
    ...marks.flatMap((mark) => gap ? [mark, gap] : [mark]));
  const output = make("output", { class: "reading" });
  let values = [], current = null;
  const read = (i) => {
    output.textContent = `Token ${i}, “${visible(tokens[i]).trim() || "space"}”: ${number(values[i])}${unit}`;
  };
  const chosen = () => state.get(key) ? state.whole(key, tokens.length, 0) : first;
  const place = (event) => event.target.dataset.token;
  element.addEventListener("pointerover", (event) => place(event) && read(Number(place(event))));
  element.addEventListener("click", (event) => place(event) && state.set(key, place(event)));
  element.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 }[event.key];
    if (!by || !tokens.length) return;
    event.preventDefault();
    state.set(key, Math.min(tokens.length - 1, Math.max(0, chosen() + by)));
  });
  return {
    element,
    output,
    // `top` is the value of the strongest colour, `about` what a screen reader hears; `found` marks matches.
    colour(latest, top, about, found = []) {
      values = latest;
      element.setAttribute("aria-label", `${about}; arrow keys read token by token`);
      marks.forEach((mark, i) => {
        mark.style.backgroundColor = colourOf(values[i], top);
        mark.classList.toggle("match", found[i] === 1);
      });
      const at = chosen();
      current?.classList.remove("current");
      current = marks[at];
      current?.classList.add("current");
      if (current) read(at);
    },
  };
}
