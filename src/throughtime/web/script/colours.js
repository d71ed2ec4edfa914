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

// A bar that says which colour means what.
function legend(values) {
  const top = topOf(values), signed = values.some((value) => value < 0);
  const bar = make("span", { class: "bar" });
  bar.style.background = `linear-gradient(to right, ${[signed ? -top : 0, 0, top].map((value) => colourOf(value, top)).join(",")})`;
  return make("p", { class: "legend" }, number(signed ? -top : 0), " ", bar, " ", number(top));
}

// A token as it is shown: line ends and signs without a shape get one.
function visible(token) {
  return token.replace(/\n/g, "↵\n").replace(/\t/g, "⇥\t")
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (sign) => `‹${sign.charCodeAt(0).toString(16)}›`);
}
