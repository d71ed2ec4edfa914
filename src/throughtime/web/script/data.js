// The data of the page: JSON with arrays in base64, decoded when first asked for.

const HALF = (() => {
  // every half-precision number by its bits: 65,536 of them, made once, when first needed
  let table = null;
  return () => table ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
})();

function toBytes(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

function decode(packed) {
  const buffer = toBytes(packed.base64);
  if (packed.type === "uint8") return new Uint8Array(buffer);
  if (packed.type === "int32") return new Int32Array(buffer);
  if (packed.type === "float32") return new Float32Array(buffer);
  const table = HALF();
  return Float32Array.from(new Uint16Array(buffer), (bits) => table[bits]);
}

const decoded = new WeakMap();

// All numbers of a packed array, flat, in C order.
function flat(packed) {
  if (!decoded.has(packed)) decoded.set(packed, decode(packed));
  return decoded.get(packed);
}

// Along the last axis, at the given indices of the axes before it: a view.
function line(packed, ...index) {
  const size = packed.shape[packed.shape.length - 1];
  const at = index.reduce((sum, i, axis) => sum * packed.shape[axis] + i, 0) * size;
  return flat(packed).subarray(at, at + size);
}

// Along the first axis of a matrix, at one index of the second: a copy.
function column(packed, index) {
  const [rows, columns] = packed.shape, all = flat(packed);
  return Float32Array.from({ length: rows }, (_, row) => all[row * columns + index]);
}

// The matrix [rows][columns] at the given indices of the axes before the last two.
function matrix(packed, ...index) {
  const rows = packed.shape[packed.shape.length - 2];
  return Array.from({ length: rows }, (_, row) => line(packed, ...index, row));
}

const RUNS = JSON.parse(document.getElementById("data").textContent).runs;

function isMissing(part) {
  return "reason" in part;
}

// The runs that have a section, each with its place in the page's order: [{run, index, part}].
function having(section) {
  return RUNS.map((run, index) => ({ run, index, part: run[section] }))
    .filter(({ part }) => part && !isMissing(part));
}
