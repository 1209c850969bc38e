"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const find = (id) => document.getElementById(id);
  const labeled = report.kind === "comparison";
  const PER_PAGE = 24;
  let page = 0;
  let state = null; // of the chosen system: see prepare

  const make = (tag, text, css) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (css) element.className = css;
    return element;
  };
  const percent = (part, whole) => whole ? `${Number((100 * part / whole).toPrecision(3))} %` : "–";
  const short = (number) => Number(number.toPrecision(5)).toString();

  // Thresholds lie between neighboring scores: cut k calls what is above cuts[k] anomalous.
  const prepare = (name) => {
    const { scores, scale, threshold } = report.systems[name];
    const order = scores.value.map((_, i) => i).sort((a, b) => scores.value[a] - scores.value[b]);
    const sorted = order.map((i) => scores.value[i]);
    const values = sorted.filter((value, i) => i === 0 || value > sorted[i - 1]);
    const step = values.length > 1 ? (values[values.length - 1] - values[0]) / values.length : 1;
    const cuts = values.map((value, i) => i ? (values[i - 1] + value) / 2 : value - step);
    cuts.push(values[values.length - 1]);
    const found = []; // at each cut
    const sums = { tp: 0, fp: 0, called: 0 };
    let last = sorted.length;
    for (let k = cuts.length - 1; k >= 0; k -= 1) {
      while (last > 0 && sorted[last - 1] > cuts[k]) {
        last -= 1;
        const label = scores.label[order[last]];
        sums.called += 1;
        if (label === -1) sums.tp += 1;
        if (label === 1) sums.fp += 1;
      }
      found[k] = { ...sums };
    }
    const anomalous = scores.label.filter((label) => label === -1).length;
    const normal = scores.label.filter((label) => label === 1).length;
    found.forEach((at) => { at.fn = anomalous - at.tp; at.tn = normal - at.fp; });
    return { scale, scores, cuts, found, given: threshold };
  };

  const current = () => state.cuts[Number(find("threshold").value)];
  const counts = () => state.found[Number(find("threshold").value)];
  const cost = (found) => found.fn * Number(find("cost-miss").value) + found.fp * Number(find("cost-alarm").value);

  // The lowest cut whose share of false alarms is at most the target.
  const cutForTarget = (share) => {
    const index = state.found.findIndex(({ fp, tn }) => fp <= share * (fp + tn) + 1e-12);
    return index < 0 ? state.cuts.length - 1 : index;
  };
  const cheapest = () => {
    const costs = state.found.map(cost);
    return costs.indexOf(Math.min(...costs));
  };
  const nearestCut = (value) => {
    const index = state.cuts.findIndex((cut) => cut >= value);
    if (index < 0) return state.cuts.length - 1;
    const above = state.scores.value.some((v) => v > value && v <= state.cuts[index]);
    return above ? Math.max(0, index - 1) : index;
  };

  const showCounts = () => {
    const cut = current();
    const found = counts();
    find("threshold-value").textContent = `${state.scale} above ${short(cut)}`;
    find("threshold-value").dataset.threshold = cut;
    const box = find("counts");
    box.replaceChildren();
    const facts = make("dl", undefined, "facts");
    const add = (key, name, text) => {
      const row = make("div");
      const value = make("dd", text);
      value.dataset.count = key;
      row.append(make("dt", name), value);
      facts.append(row);
    };
    const total = state.scores.value.length;
    if (labeled) {
      const { tp, fp, tn, fn } = found;
      const f1 = tp ? 2 * tp / (2 * tp + fp + fn) : 0;
      add("tp", "Anomalous, found", `${tp} of ${tp + fn}`);
      add("fn", "Anomalous, missed", `${fn} of ${tp + fn}`);
      add("fp", "Normal, called anomalous", `${fp} of ${fp + tn}`);
      add("tn", "Normal, passed", `${tn} of ${fp + tn}`);
      add("recall", "Share found (recall)", percent(tp, tp + fn));
      add("fpr", "False alarm rate", percent(fp, fp + tn));
      add("precision", "Alarms that are right (precision)", percent(tp, tp + fp));
      add("f1", "F1", f1.toFixed(3));
      add("cost", "Cost", short(cost(found)));
    } else {
      add("called", "Called anomalous", `${found.called} of ${total}`);
      add("share", "Share", percent(found.called, total));
    }
    box.append(facts);
    document.querySelectorAll(".called[data-kind]").forEach((cell) => {
      let called = 0;
      let all = 0;
      state.scores.image.forEach((image, i) => {
        const { kind, label } = report.images[image];
        if (kind !== cell.dataset.kind || label !== Number(cell.dataset.label)) return;
        all += 1;
        if (state.scores.value[i] > cut) called += 1;
      });
      cell.textContent = all ? `${called} of ${all}` : "–";
    });
  };

  const CHOICES = {
    high: ["the most anomalous", () => true, (i) => -state.scores.value[i]],
    near: ["nearest to the threshold", () => true, (i) => Math.abs(state.scores.value[i] - current())],
    low: ["the least anomalous", () => true, (i) => state.scores.value[i]],
    called: ["called anomalous", (i) => state.scores.value[i] > current(), (i) => -state.scores.value[i]],
    alarms: ["false alarms", (i) => state.scores.label[i] === 1 && state.scores.value[i] > current(), (i) => -state.scores.value[i]],
    misses: ["misses", (i) => state.scores.label[i] === -1 && !(state.scores.value[i] > current()), (i) => state.scores.value[i]],
  };

  const nearest = (found) => {
    const box = make("div", undefined, "nearest");
    box.append(make("span", "nearest normal", "quiet"));
    found.forEach(([place, distance]) => {
      const { name, picture } = report.neighbors[place];
      const told = `${name.slice(-200)}, distance ${short(distance)}`;
      const element = picture ? make("img") : make("span", "–");
      if (picture) {
        element.src = picture;
        element.alt = `training image ${told}`;
      }
      element.title = told;
      box.append(element);
    });
    return box;
  };

  const card = (i) => {
    const image = report.images[state.scores.image[i]];
    const value = state.scores.value[i];
    const called = value > current();
    const item = make("li", undefined, called ? "called" : "");
    item.dataset.value = value;
    const wanted = document.querySelector("input[name=picture]:checked").value;
    const url = image[wanted] || image.picture;
    if (url) {
      const picture = make("img");
      picture.src = url;
      picture.alt = `${image.name.slice(0, 200)}: ${called ? "called anomalous" : "passed"}`;
      item.append(picture);
    } else item.append(make("span", "no picture", "none"));
    item.append(make("strong", `${short(value)} · ${called ? "anomalous" : "normal"}`));
    const told = [];
    if (image.label === -1) told.push("labeled anomalous");
    if (image.label === 1) told.push("labeled normal");
    if (image.kind) told.push(image.kind.slice(0, 200));
    if (image.p_value !== undefined && image.p_value !== null) told.push(`p = ${Number(image.p_value.toPrecision(2))}`);
    if (told.length) item.append(make("div", told.join(" · "), "clipped"));
    const end = image.name.split(/[\\/]/).slice(-2).join("/");
    const name = make("div", end.slice(0, 1000), "quiet clipped");
    name.title = image.name.slice(0, 1000);
    item.append(name);
    if (image.nearest) item.append(nearest(image.nearest));
    return item;
  };

  const showImages = () => {
    const [, fits, key] = CHOICES[find("which").value];
    const chosen = state.scores.value.map((_, i) => i).filter(fits).sort((a, b) => key(a) - key(b));
    const pages = Math.max(1, Math.ceil(chosen.length / PER_PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    find("page").textContent = `${chosen.length} images, page ${page + 1} of ${pages}`;
    find("before").disabled = page === 0;
    find("after").disabled = page === pages - 1;
    find("images").replaceChildren(...chosen.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(card));
  };

  const update = () => { showCounts(); showImages(); };
  const moveTo = (index) => { find("threshold").value = index; page = 0; update(); };
  const choose = (name) => {
    state = prepare(name);
    find("threshold").max = state.cuts.length - 1;
    moveTo(state.given === null ? (labeled ? cutForTarget(0.05) : state.cuts.length - 1) : nearestCut(state.given));
  };

  Object.keys(report.systems).forEach((name) => find("system").append(new Option(name, name)));
  Object.entries(CHOICES).forEach(([key, [text]]) => {
    if (labeled || !["alarms", "misses"].includes(key)) find("which").append(new Option(text, key));
  });
  find("system").value = report.shown;
  ["map", "mask"].forEach((kind) => {
    if (report.images.some((image) => image[kind])) return;
    const input = document.querySelector(`input[name=picture][value=${kind}]`);
    if (input.checked) document.querySelector("input[name=picture][value=picture]").checked = true;
    input.parentElement.hidden = true;
  });
  const choices = [...document.querySelectorAll("input[name=picture]")].filter((input) => !input.parentElement.hidden);
  if (choices.length === 1) choices[0].closest("fieldset").hidden = true;
  find("system").addEventListener("change", (event) => choose(event.target.value));
  find("threshold").addEventListener("input", () => { page = 0; update(); });
  find("which").addEventListener("change", () => { page = 0; showImages(); });
  document.querySelectorAll("input[name=picture]").forEach((input) => input.addEventListener("change", showImages));
  find("before").addEventListener("click", () => { page -= 1; showImages(); });
  find("after").addEventListener("click", () => { page += 1; showImages(); });
  if (labeled) {
    find("apply-target").addEventListener("click", () => moveTo(cutForTarget(Number(find("target").value) / 100)));
    find("cheapest").addEventListener("click", () => moveTo(cheapest()));
    ["cost-miss", "cost-alarm"].forEach((id) => find(id).addEventListener("input", showCounts));
  }

  document.querySelectorAll("table.sortable").forEach((table) => {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = make("button", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const text = (row) => row.children[column].textContent.trim();
        const number = (row) => Number.parseFloat(text(row).replace(/,/g, ""));
        const numeric = head.classList.contains("number");
        const rows = [...table.tBodies[0].rows].sort((a, b) => numeric
          ? (Number.isNaN(number(a)) ? -Infinity : number(a)) - (Number.isNaN(number(b)) ? -Infinity : number(b))
          : text(a).localeCompare(text(b)));
        table.tBodies[0].append(...(down ? rows.reverse() : rows));
      });
    });
  });
  choose(report.shown);
})();
