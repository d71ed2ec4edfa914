// What sections have in common.

// Names that any of the runs has, each once.
function namesOf(runs, get) {
  return [...new Set(runs.flatMap(({ part }) => get(part)))];
}

// Controls, a chart of all runs, and below it one chart for each run, side by side.
function panels(place, controls, runs, build, shared = null) {
  const charts = runs.map((one) => build(place, one));
  place.append(make("div", { class: "controls" }, ...controls));
  if (shared) place.append(shared.element);
  place.append(make("div", { class: "columns" }, ...runs.map(({ run }, i) =>
    make("div", { class: "panel" }, make("h3", {}, run.name), charts[i].element))));
  return {
    each(draw) {
      runs.forEach((one, i) => {
        draw(one, charts[i]);
        charts[i].element.parentElement.hidden = charts[i].element.hidden;
      });
    },
  };
}

function lags(share) {
  return Array.from(share, (_, lag) => lag);
}

// The lags of the longest of several lines.
function longest(list, get) {
  return Array.from({ length: Math.max(0, ...list.map((one) => get(one).length)) }, (_, lag) => lag);
}

function percent(share) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–";
}
