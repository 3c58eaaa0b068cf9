// The browser over conversations: search and filters on the left, the dialogue and its persona on the right.
const STEP = 50;
let listed = [], shownCount = STEP, openAt = -1, ofPersona = null;

const opening = (row) => (row.messages.find((one) => one.role === "user") || row.messages[0] || {text: ""}).text || "(no text)";
const haystacks = [];
const haystack = (at) => haystacks[at] ??= `${DATA.talks.rows[at].persona}\n${DATA.talks.rows[at].messages.filter((one) => one.role !== "system").map((one) => one.text).join("\n")}`.toLowerCase();

function filterTalks() {
  const wanted = $("talk-search").value.trim().toLowerCase(), depth = $("talk-depth").value, task = $("talk-task").value, score = Number($("talk-score").value || 0);
  listed = [...DATA.talks.rows.keys()].filter((at) => {
    const row = DATA.talks.rows[at];
    return (!depth || String(row.depth) === depth) && (!task || row.task === task) && (!score || (row.scores?.overall ?? -1) >= score)
      && (!ofPersona || row.persona_id === ofPersona) && (!wanted || haystack(at).includes(wanted));
  });
  shownCount = STEP;
  showList(wanted);
}

function showList(wanted = $("talk-search").value.trim().toLowerCase()) {
  const sample = DATA.talks.rows.length < DATA.talks.of ? ` in a fixed sample of ${count(DATA.talks.rows.length)}; the run has ${count(DATA.talks.of)}` : "";
  $("talk-count").textContent = `${many(listed.length, "conversation")}${sample}`;
  fill($("talk-list"), ...listed.slice(0, shownCount).map((at) => {
    const row = DATA.talks.rows[at], score = row.scores?.overall;
    const facts = [row.depth === null ? null : `depth ${row.depth}`, row.task, score === undefined ? null : `score ${digits(score, 2)}`].filter(Boolean).join(" · ");
    return el("li", {}, el("button", {type: "button", "data-talk": at, "aria-current": at === openAt ? "true" : null, on: {click: () => openTalk(at)}},
      el("span", {dir: "auto"}, marked(clip(opening(row), 120), wanted)), el("small", {}, facts)));
  }));
  $("talk-more").hidden = listed.length <= shownCount;
}

function openTalk(at, jump = false) {
  if (openAt >= 0) document.querySelector(`[data-talk="${openAt}"]`)?.removeAttribute("aria-current");
  openAt = at;
  const row = DATA.talks.rows[at], wanted = $("talk-search").value.trim().toLowerCase();
  document.querySelector(`[data-talk="${at}"]`)?.setAttribute("aria-current", "true");
  const facts = [row.depth === null ? null : `depth ${row.depth}`, row.task, documentName(row.document), ...new Set(Object.values(row.models))].filter(Boolean);
  const scores = row.scores && el("p", {class: "scores"}, ...Object.entries(row.scores).map(([name, score]) => el("span", {title: row.reasons[name]}, `${name.replaceAll("_", " ")} ${digits(score, 2)}`)));
  const others = (TALKS_OF.get(row.persona_id) || []).length;
  const more = others > 1 ? el("button", {type: "button", on: {click: () => onlyOf(row)}}, `All ${count(others)} of this persona`) : null;
  const place = PLACE_OF.get(row.persona_id);
  const onMap = place === undefined ? null : el("button", {type: "button", on: {click: () => { choosePerson(place); $("map").scrollIntoView(); }}}, "On the map");
  const reasons = Object.entries(row.reasons).map(([name, why]) => el("li", {}, el("b", {}, `${name.replaceAll("_", " ")}: `), why));
  fill($("talk"), el("div", {class: "who"}, row.persona ? el("p", {class: "words", dir: "auto"}, marked(row.persona, wanted)) : null,
    el("p", {class: "facts"}, ...facts.map((one) => el("span", {}, one))), el("p", {class: "controls"}, onMap, more), scores,
    reasons.length ? el("details", {class: "table"}, el("summary", {}, "What the judge says"), el("ul", {}, ...reasons)) : null),
  ...row.messages.map((one) => message(one, wanted)));
  $("talk").scrollTop = 0;
  if (jump) { $("talks").scrollIntoView(); $("talk").focus({preventScroll: true}); }
}

function message(one, wanted) {
  const body = [el("span", {class: "role"}, one.role), one.text ? marked(one.text, wanted) : null, ...(one.calls || []).map((call) => el("code", {class: "call"}, call))];
  if (one.role !== "system") return el("div", {class: `message ${one.role}`, dir: "auto"}, ...body);
  return el("details", {class: "message system"}, el("summary", {}, "What the assistant was given"), one.text);
}

function onlyOf(row) {
  ofPersona = row?.persona_id || null;
  $("talk-of").hidden = !ofPersona;
  if (row) fill($("talk-of"), `of one persona: ${clip(row.persona, 60)}`, el("button", {type: "button", "aria-label": "Conversations of everybody", on: {click: () => onlyOf(null)}}, "×"));
  filterTalks();
}

function startTalks() {
  const rows = DATA.talks.rows;
  if (!rows.length) { $("talks").hidden = true; return; }
  const distinct = (values) => [...new Set(values)].sort((a, b) => (a > b ? 1 : -1));
  options($("talk-depth"), [["", "all"], ...distinct(rows.map((row) => row.depth).filter((one) => one !== null)).map((one) => [one, String(one)])]);
  options($("talk-task"), [["", "all"], ...distinct(rows.map((row) => row.task)).map((one) => [one, one])]);
  options($("talk-score"), [["", "any"], ...[0.5, 0.6, 0.7, 0.8, 0.9].map((one) => [one, digits(one, 1)])]);
  $("talk-score-label").hidden = !rows.some((row) => row.scores);
  $("talk-search").addEventListener("input", later(filterTalks));
  for (const id of ["talk-depth", "talk-task", "talk-score"]) $(id).addEventListener("change", filterTalks);
  $("talk-more").addEventListener("click", () => { shownCount += STEP; showList(); });
  filterTalks();
  openTalk(listed[0] ?? 0);
}
