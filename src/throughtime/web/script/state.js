// What the reader chose, kept in the address after #: a map of words that a link can carry.
// A key begins with the section it belongs to: `flow.layer`.

const state = (() => {
  let chosen = new URLSearchParams(location.hash.slice(1));
  let timer = 0;
  const listeners = [];
  const tell = (key) => listeners.forEach((listener) => listener(key));

  function keep() {
    // Browsers refuse addresses that change hundreds of times: only the last of a burst is kept.
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", `#${chosen}`), 120);
  }

  addEventListener("hashchange", () => {
    chosen = new URLSearchParams(location.hash.slice(1));
    tell(null); // anything may have changed
  });

  return {
    get: (key, otherwise = "") => chosen.get(key) ?? otherwise,
    // A whole number in [0, end), or the last below it if none was chosen.
    whole(key, end, otherwise = end - 1) {
      const value = Number(chosen.get(key) ?? otherwise);
      return Number.isInteger(value) && value >= 0 && value < end ? value : Math.max(0, otherwise);
    },
    set(key, value) {
      if (chosen.get(key) === String(value)) return;
      if (value === "" || value === null) chosen.delete(key);
      else chosen.set(key, value);
      keep();
      tell(key);
    },
    listen: (listener) => listeners.push(listener),
  };
})();
