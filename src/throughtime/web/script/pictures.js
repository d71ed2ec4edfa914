// Pictures of numbers, drawn pixel by pixel: nothing of a run is decoded by the browser.

// A canvas of so many pixels, each from what `pixel(x, y)` says: [red, green, blue], 0 to 255.
function canvasOf(width, height, pixel, label) {
  const canvas = make("canvas", { width, height, role: "img", "aria-label": label });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0, at = 0; i < width * height; i++, at += 4) {
    const [red, green, blue] = pixel(i % width, Math.floor(i / width));
    image.data.set([red, green, blue, 255], at);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// A packed picture, [Y, X, 3], or grey, as one of [F, Y, X].
function colourPicture(packed, label) {
  const [height, width] = packed.shape, all = flat(packed);
  return canvasOf(width, height, (x, y) => all.subarray(3 * (y * width + x), 3 * (y * width + x) + 3), label);
}

function greyPicture(packed, frame, label) {
  const [, height, width] = packed.shape, all = flat(packed), first = frame * height * width;
  return canvasOf(width, height, (x, y) => Array(3).fill(all[first + y * width + x]), label);
}

const PALE = 235, KEPT = 0.25; // of the picture where nothing was looked at

// A picture that is bright where a map of places, [R, C], is high, between places smoothly.
function litPicture(packed, map, rows, columns, label) {
  const [height, width] = packed.shape, all = flat(packed);
  const most = map.reduce((high, weight) => Math.max(high, weight), 1e-9);
  const down = stops(height, rows), right = stops(width, columns);
  return canvasOf(width, height, (x, y) => {
    const [r, r1, v] = down[y], [c, c1, u] = right[x];
    const mix = (row) => map[row * columns + c] * (1 - u) + map[row * columns + c1] * u;
    const light = KEPT + (1 - KEPT) * (mix(r) * (1 - v) + mix(r1) * v) / most;
    const at = 3 * (y * width + x);
    return [0, 1, 2].map((colour) => PALE + light * (all[at + colour] - PALE));
  }, label);
}

// For every pixel the two places whose middles it lies between, and how far it is to the second.
function stops(pixels, places) {
  return Array.from({ length: pixels }, (_, i) => {
    const at = Math.min(places - 1, Math.max(0, (i + 0.5) * places / pixels - 0.5));
    return [Math.floor(at), Math.min(places - 1, Math.floor(at) + 1), at - Math.floor(at)];
  });
}
