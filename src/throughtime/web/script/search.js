// Which tokens of a text match a search, and which units follow them.

// For each token whether it holds a part of a match; the search may span tokens.
function matches(tokens, wanted) {
  const found = new Uint8Array(tokens.length);
  if (!wanted) return found;
  const starts = [];
  let text = "";
  for (const token of tokens) {
    starts.push(text.length);
    text += token;
  }
  let token = 0;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    while (token + 1 < starts.length && starts[token + 1] <= at) token++;
    for (let i = token; i < starts.length && starts[i] < at + wanted.length; i++) found[i] = 1;
  }
  return found;
}

// Pearson's correlation of a signal's units, values [T, U], with the matches, [U].
function correlations(packed, found) {
  const [steps, units] = packed.shape, values = flat(packed);
  const share = found.reduce((sum, one) => sum + one, 0) / steps;
  const sum = new Float64Array(units), squares = new Float64Array(units), inside = new Float64Array(units);
  for (let t = 0, i = 0; t < steps; t++) {
    for (let unit = 0; unit < units; unit++, i++) {
      const value = values[i];
      sum[unit] += value;
      squares[unit] += value * value;
      if (found[t]) inside[unit] += value;
    }
  }
  return sum.map((total, unit) => {
    const mean = total / steps, variance = squares[unit] / steps - mean * mean;
    const covariance = inside[unit] / steps - share * mean;
    return covariance / Math.sqrt(variance * share * (1 - share)) || 0;
  });
}

// The units of a run that follow the matches best, of all layers and signals.
function followers(part, found, count = 8) {
  const all = part.layers.flatMap(({ layer, units, signals }) =>
    Object.entries(signals).flatMap(([signal, packed]) =>
      Array.from(correlations(packed, found), (score, i) => ({ layer, signal, unit: flat(units)[i], score }))));
  return all.sort((a, b) => Math.abs(b.score) - Math.abs(a.score)).slice(0, count);
}
