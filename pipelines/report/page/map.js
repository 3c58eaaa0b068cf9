// The map of personas: points on a canvas, a person beside it, and a search that reaches everybody by keyboard.
const PALETTE = {light: ["#3a56c5", "#c2703d", "#2f8f83", "#a8459b", "#b39a2c", "#5b8c3e", "#7a6cc4", "#c24b5a", "#4a90b8", "#8a6d54", "#6f7a8a", "#97a13a"],
  dark: ["#93a7ff", "#eda06f", "#5fc4b6", "#dd8fd2", "#e0c95c", "#94c873", "#b5a9f5", "#f0848f", "#82c3ea", "#c5a78c", "#a9b3c2", "#c9d36d"]};
const ATTRIBUTES = ["age", "gender", "region", "education", "occupation", "expertise"];
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const PEOPLE = DATA.people.columns, TALKS_OF = new Map(), PLACE_OF = new Map(PEOPLE.id.map((id, at) => [id, at]));
DATA.talks.rows.forEach((row, at) => TALKS_OF.set(row.persona_id, [...(TALKS_OF.get(row.persona_id) || []), at]));
let mapView = null, chosen = -1;

// The groups of a colouring: [name of each group, the group of each persona; -1 is nobody's].
function grouping(by) {
  if (by === "depth") {
    const names = [...new Set(PEOPLE.depth)].sort((a, b) => a - b);
    return [names.map((depth) => `depth ${depth}`), PEOPLE.depth.map((depth) => names.indexOf(depth))];
  }
  if (by === "document") {
    const sizes = new Map();
    for (const one of PEOPLE.document) sizes.set(one, (sizes.get(one) || 0) + 1);
    const names = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 11).map(([name]) => name);
    return [names.map(documentName), PEOPLE.document.map((one) => names.indexOf(one))];
  }
  return [DATA.people.groups[by].slice(0, 11), PEOPLE[by].map((code) => (code < 11 ? code : -1))];
}

function documentName(id) {
  return DATA.people.names[id] || clip(id, 16);
}

function mapColours(names) {
  return (isDark() ? PALETTE.dark : PALETTE.light).slice(0, names.length);
}

async function drawMap() {
  const by = $("map-colour").value, [names, codes] = grouping(by), colours = mapColours(names), other = css("--other");
  const values = PEOPLE.id.map((_, at) => ({at, x: PEOPLE.x[at], y: PEOPLE.y[at], group: codes[at], talks: TALKS_OF.has(PEOPLE.id[at]) ? 1 : 0}))
    .filter((one) => one.x !== null).sort((one, another) => one.talks - another.talks);
  const scale = {domain: [-1, ...names.keys()], range: [other, ...colours]};
  const axis = (field) => ({field, type: "quantitative", axis: null, scale: {zero: false, padding: 14}});
  const size = values.length > 4000 ? 16 : values.length > 800 ? 28 : 60;
  const spec = {$schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", height: "container", padding: 0,
    autosize: {type: "fit", contains: "padding"}, config: {background: null, view: {stroke: null}, font: FONT},
    params: [{name: "shown", value: []}, {name: "chosen", value: -1}], layer: [
      {params: [{name: "view", select: {type: "interval"}, bind: "scales"}], data: {values},
        mark: {type: "circle", opacity: 0.62, cursor: "pointer"}, encoding: {x: axis("x"), y: axis("y"),
          size: {condition: {test: "datum.talks", value: size * 2.1}, value: size},
          opacity: {condition: {test: "length(shown) && indexof(shown, datum.at) < 0", value: 0.07}, value: 0.62},
          color: {field: "group", type: "nominal", scale, legend: null}}},
      {data: {values}, transform: [{filter: "datum.at == chosen"}], mark: {type: "point", size: 190, strokeWidth: 2.5,
        color: css("--ink"), opacity: 1}, encoding: {x: axis("x"), y: axis("y")}}]};
  mapView?.finalize();
  const {view} = await vegaEmbed($("map-plane"), spec, {actions: false, renderer: "canvas", ast: true, logLevel: 1, tooltip: showTip});
  mapView = view;
  view.addEventListener("click", (_, item) => { if (item?.datum?.at !== undefined) choosePerson(item.datum.at); });
  view.addEventListener("mousemove", (event, item) => showTip(null, event, item, item?.datum?.at));
  view.addEventListener("mouseout", () => { tip.hidden = true; });
  fill($("map-legend"), ...names.map((name, at) => el("li", {}, el("i", {style: `background:${colours[at]}`}), name)),
    codes.includes(-1) ? el("li", {}, el("i", {style: `background:${other}`}), by === "document" ? "other documents" : "others, or not said") : null);
  markFound();
  if (chosen >= 0) view.signal("chosen", chosen).run();
}

const tip = el("div", {class: "tip", hidden: true, "aria-hidden": "true"});

function showTip(_, event, item, at) {
  if (typeof at !== "number") { tip.hidden = true; return; }
  const talks = TALKS_OF.get(PEOPLE.id[at]);
  fill(tip, clip(PEOPLE.text[at], 240), el("br"), el("small", {}, `depth ${PEOPLE.depth[at]} · ${PEOPLE.relation[at]}${talks ? ` · ${many(talks.length, "conversation")}` : ""}`));
  tip.hidden = false;
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
}

function choosePerson(at) {
  chosen = at;
  const talks = TALKS_OF.get(PEOPLE.id[at]) || [];
  const said = ATTRIBUTES.filter((name) => PEOPLE[name]?.[at] >= 0).map((name) => el("span", {}, `${name}: ${DATA.people.groups[name][PEOPLE[name][at]]}`));
  const some = DATA.talks.rows.length < DATA.talks.of ? " of those in this page" : "";
  fill($("map-person"), el("p", {class: "words", dir: "auto"}, PEOPLE.text[at]),
    el("p", {class: "facts"}, el("span", {}, `depth ${PEOPLE.depth[at]}`), el("span", {}, PEOPLE.relation[at]), el("span", {}, documentName(PEOPLE.document[at])), ...said),
    el("p", {class: "facts"}, talks.length ? `${many(talks.length, "conversation")}${some}:` : `No conversation${some}.`),
    el("ul", {class: "links"}, ...talks.map((one) => el("li", {}, el("button", {type: "button", on: {click: () => openTalk(one, true)}}, clip(opening(DATA.talks.rows[one]), 140))))));
  mapView?.signal("chosen", at).run();
}

function foundPeople() {
  const wanted = $("map-search").value.trim().toLowerCase();
  return wanted ? [...PEOPLE.text.keys()].filter((at) => PEOPLE.text[at].toLowerCase().includes(wanted)) : [];
}

function markFound() {
  const wanted = $("map-search").value.trim().toLowerCase(), found = foundPeople();
  mapView?.signal("shown", wanted && !found.length ? [-2] : found.slice(0, 2000)).run();
  if (!wanted) return fill($("map-matches"));
  const shown = found.slice(0, 60).map((at) => el("li", {}, el("button", {type: "button", on: {click: () => choosePerson(at)}}, marked(clip(PEOPLE.text[at], 200), wanted))));
  fill($("map-matches"), el("p", {class: "count"}, `${many(found.length, "persona")} found${found.length > 60 ? ", the first 60 of them:" : ""}`), el("ul", {class: "links"}, ...shown));
}

function startMap() {
  const {of} = DATA.people, shown = PEOPLE.id.length, placed = PEOPLE.x.filter((one) => one !== null).length;
  if (!shown) { $("map").hidden = true; return; }
  const sample = shown < of ? `A fixed sample of ${count(shown)} of ${count(of)} personas. ` : `All ${many(of, "persona")}. `;
  $("map-note").textContent = sample + (placed ? `Near points are alike: the two axes are the principal components of their embeddings, and show ${percent(DATA.people.spread)} of the variance. Larger points have conversations in this page. Drag to move, scroll to zoom, click for the person.`
    : "No vectors are kept in this run (personas.dedup.scope: corpus keeps them), so there is no map; the search reaches everybody.");
  options($("map-colour"), [["depth", "depth"], ["document", "document"], ...Object.keys(DATA.people.groups).map((name) => [name, name])]);
  document.body.append(tip);
  $("map-search").addEventListener("input", later(markFound));
  const first = DATA.talks.rows.length ? PLACE_OF.get(DATA.talks.rows[0].persona_id) : 0;
  choosePerson(first ?? 0);
  if (!placed) { for (const id of ["map-plane", "map-reset", "map-legend"]) $(id).hidden = true; $("map-colour").parentElement.hidden = true; return; }
  $("map-colour").addEventListener("change", drawMap);
  $("map-reset").addEventListener("click", () => { $("map-search").value = ""; drawMap(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
  new IntersectionObserver((entries, watch) => { if (entries.some((one) => one.isIntersecting)) { watch.disconnect(); drawMap(); } }, {rootMargin: "300px"}).observe($("map-plane"));
}
