// Elements of the page. Text from runs enters as text alone, never as markup.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A number as a reader wants it; what was not measured is a dash.
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value), short = size >= 1e-3 && size < 1e5;
  const text = Number.isInteger(value) ? String(value)
    : short ? String(Number(value.toPrecision(4))) : value.toExponential(2);
  return text.replaceAll("-", "−");
}

// A table with a caption; the first cell of a row is its heading.
function table(caption, head, rows) {
  const heading = make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)));
  const body = make("tbody");
  for (const [first, ...rest] of rows) {
    body.append(make("tr", {},
      make("th", { scope: "row" }, cell(first)), ...rest.map((value) => make("td", {}, cell(value)))));
  }
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {}, make("caption", {}, caption), make("thead", {}, heading), body));
}

function cell(value) {
  return typeof value === "string" ? value : number(value);
}

// The numbers of a chart: made when opened, since few readers open all of them.
function numbers(id, title) {
  const details = make("details", { class: "numbers" },
    make("summary", {}, "Numbers", make("span", { class: "unseen" }, ` of the chart: ${title}`)));
  let build = null;
  const fill = () => {
    if (details.open && build) details.replaceChildren(details.firstChild, build());
  };
  const opened = () => new Set(state.get("open").split(",").filter(Boolean));
  details.addEventListener("toggle", () => {
    const all = opened();
    if (details.open === all.has(id)) return;
    if (details.open) all.add(id); else all.delete(id);
    state.set("open", [...all].join(","));
    fill();
  });
  return {
    details,
    show(latest) {
      build = latest;
      details.open = opened().has(id);
      fill();
    },
  };
}

function button(text, action, label = text) {
  const element = make("button", { type: "button", "aria-label": label }, text);
  element.addEventListener("click", action);
  return element;
}

let controls = 0;

// A label and what it labels.
function labelled(text, input) {
  input.id ||= `control-${++controls}`;
  return make("span", { class: "control" }, make("label", { for: input.id }, text), " ", input);
}

// A box to choose one of several words; `options` may change from update to update.
function chooser(text, key, options) {
  const select = make("select");
  select.addEventListener("change", () => state.set(key, select.value));
  return {
    element: labelled(text, select),
    // The word that counts: the one in the address if it exists, else the given one.
    update(otherwise) {
      const words = options();
      if (words.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
        select.replaceChildren(...words.map((word) => make("option", { value: word }, word)));
      }
      const chosen = [state.get(key), otherwise, words[0]].find((word) => words.includes(word));
      select.value = chosen ?? "";
      select.disabled = words.length < 2;
      return chosen;
    },
  };
}

// A slider over places 0 ... count - 1, each with a name.
function slider(text, key, names) {
  const input = make("input", { type: "range", min: "0", step: "1" });
  const shown = make("output");
  input.addEventListener("input", () => state.set(key, input.value));
  const element = labelled(text, input);
  element.append(" ", shown);
  shown.htmlFor.add(input.id);
  return {
    element,
    update() {
      const words = names();
      input.max = String(words.length - 1);
      const at = state.whole(key, words.length);
      input.value = String(at);
      input.setAttribute("aria-valuetext", words[at]);
      shown.textContent = words[at];
      element.hidden = words.length < 2;
      return at;
    },
  };
}
