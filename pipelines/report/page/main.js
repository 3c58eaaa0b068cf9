// Puts the page together.
function startTop() {
  const {run, counts} = DATA, talks = counts.conversations || 0;
  document.title = `${run.name} · populace`;
  $("run-id").textContent = `${run.id} · ${run.state}`;
  $("run-name").textContent = run.name;
  $("lede").textContent = DATA.lede;
  const cost = counts.cost_usd === null || counts.cost_usd === undefined ? ["unknown", "no price in the config"] : [dollars(counts.cost_usd), talks ? `${dollars(counts.cost_usd / talks)} a conversation` : ""];
  const figures = [["Documents", count(counts.documents), counts.documents_truncated ? `${count(counts.documents_truncated)} cut to fit` : ""],
    ["Personas", count(counts.personas), counts.rejected ? `${count(counts.rejected)} refused` : ""], ["Conversations", count(talks), ""],
    ["Model calls", count(counts.calls), `${count((counts.prompt_tokens || 0) + (counts.completion_tokens || 0))} tokens`],
    ["Cost", ...cost], ["Time at work", duration(counts.seconds || 0), ""], ["Given up", count(counts.failures), ""]];
  if (counts.bios) figures.splice(2, 0, ["People", count(counts.bios), "of the simulation"]);
  fill($("figures"), ...figures.map(([name, value, note]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, note) : null))));
  $("made-at").textContent = `Made by populace ${run.version} on ${run.made_at}. Everything but the documents was written by language models; facts were not checked.`;
  fill($("settings"), ...DATA.settings.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function startFindings() {
  const list = (lines) => el("ul", {class: "findings"}, ...lines.map((line) => el("li", {}, line)));
  fill($("diversity-findings"), ...DATA.findings.diversity.map((line) => el("li", {}, line)));
  fill($("quality-findings"), ...DATA.findings.quality.map((line) => el("li", {}, line)));
  $("audit-note").textContent = DATA.findings.audit_opening;
  fill($("audit-findings"), ...DATA.findings.audit.flatMap(([title, lines]) => [el("h3", {}, title), list(lines)]));
  $("diversity").hidden = !DATA.findings.diversity.length;
  $("quality").hidden = !DATA.findings.quality.length;
  const attributes = (DATA.audit?.attributes || []).filter((one) => one.said || one.reference);
  if (!attributes.length) { $("audit").hidden = true; return; }
  options($("audit-choice"), attributes.map((one, at) => [at, `${one.title} (said of ${percent(one.said / Math.max(1, DATA.audit.read))})`]));
  const show = () => {
    const one = attributes[Number($("audit-choice").value)], figure = document.querySelector('[data-chart="audit"]');
    $("audit-caption").textContent = `${one.title}: ${many(one.said, "persona")}${one.reference ? "; the mark is the reference" : ""}`;
    charts.audit = auditChart(one);
    const was = figure.dataset.drawn;
    delete figure.dataset.drawn;
    if (was) draw(figure);
  };
  $("audit-choice").addEventListener("change", show);
  show();
}

function startFailures() {
  const kinds = DATA.failures, all = DATA.counts.failures || 0, seen = kinds.reduce((sum, one) => sum + one.count, 0);
  $("failures-note").textContent = !all && !seen ? "Nothing was given up." : seen < all ? `Of the first ${count(seen)} of ${count(all)} items that were given up.` : `${many(Math.max(all, seen), "item")} given up; one that fails never stops the others.`;
  if (!kinds.length) return;
  const examples = (one) => el("details", {open: false}, el("summary", {}, clip(one.examples[0][1], 140)),
    ...one.examples.map(([item, said, attempts]) => el("p", {}, el("b", {}, `${item} `), said, ` (${many(attempts, "attempt")})`)));
  fill($("failures-table"), el("div", {class: "across"}, table([["items", "number"], ["stage", ""], ["kind", ""], ["examples", "text"]], kinds.map((one) => [one.count, one.stage, one.kind, examples(one)]))));
}

function startContents() {
  const shown = [...document.querySelectorAll("main > section")].filter((one) => !one.hidden);
  const links = new Map(shown.map((one) => [one.id, el("a", {href: `#${one.id}`}, one.dataset.title)]));
  fill($("contents"), ...[...links.values()].map((link) => el("li", {}, link)));
  const watch = new IntersectionObserver((entries) => {
    for (const one of entries) if (one.isIntersecting) for (const [id, link] of links) link.toggleAttribute("aria-current", id === one.target.id);
  }, {rootMargin: "-20% 0px -70% 0px"});
  shown.forEach((one) => watch.observe(one));
}

Object.assign(charts, {funnel: funnelChart(), dialogues: dialoguesChart(), depth: depthChart(), words: wordsChart(), messages: messagesChart(),
  talkdepth: talkDepthChart(), nearest: nearestChart(), cells: cellsChart(), scores: scoresChart(), consistency: consistencyChart(), ...timeCharts()});
startTop();
startFindings();
startDocuments();
startFailures();
startTalks();
startMap();
for (const [id, names] of [["shapes", ["depth", "words", "messages", "talkdepth"]], ["time", ["cost", "pace", "calls", "trouble"]]]) $(id).hidden = !names.some((name) => charts[name]);
$("made").hidden = !charts.funnel && !charts.dialogues;
$("time-note").textContent = DATA.history.length >= 3 ? "Over the time at work; the time between sessions is left out." : "";
startContents();
drawAll();
