// Colours of values behind a text: light enough for dark letters, safe for colour-blind readers.

const LOW = [0, 114, 178], HIGH = [213, 94, 0], STRONG = 0.72;

// From white at 0 to blue at -top, or to orange at +top.
function colourOf(value, top) {
  if (!Number.isFinite(value)) return "transparent";
  const strength = STRONG * Math.min(1, Math.abs(value) / (top || 1));
  return `rgb(${(value < 0 ? LOW : HIGH).map((part) => Math.round(255 + (part - 255) * strength)).join(" ")})`;
}

// Where the colours end: 1 for a gate, else the largest size but for the outermost hundredth.
function topOf(values) {
  const sizes = Float32Array.from(values, Math.abs).filter(Number.isFinite).sort();
  const isGate = values.every((value) => !(value < 0) && !(value > 1));
  return isGate ? 1 : sizes[Math.floor(0.99 * (sizes.length - 1))] || 1;
}

// A bar that says which colour means what, with a word for either end.
function legend(values, low = "", high = "") {
  const top = topOf(values), signed = values.some((value) => value < 0);
  const bar = make("span", { class: "bar" });
  bar.style.background = `linear-gradient(to right, ${[signed ? -top : 0, 0, top].map((value) => colourOf(value, top)).join(",")})`;
  return make("p", { class: "legend" }, low, number(signed ? -top : 0), " ", bar, " ", number(top), high);
}

// Tints of the colours of Okabe and Ito (2008) behind dark letters; the most frequent kind is grey.
const KINDS = ["#e0e0e0", "#9ed3f0", "#f6c667", "#7fd1b0", "#e6a9c9", "#f29b6c", "#f3ec8a", "#93a8e0"];

// The colour of a kind by its number; beyond those with a name, hues as far apart as they come.
function kindColour(kind) {
  return KINDS[kind] ?? `hsl(${(kind * 137.5) % 360} 50% 78%)`;
}

// A token as it is shown: line ends and signs without a shape get one.
function visible(token) {
  return token.replace(/\n/g, "↵\n").replace(/\t/g, "⇥\t")
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (sign) => `‹${sign.charCodeAt(0).toString(16)}›`);
}
