// A run as it goes on: asks the server every two seconds and draws what is new.
const ASK_MS = 2000, DRAW_MS = 10000;
let drawnAt = 0;

function showStages(live) {
  $("stages").hidden = !live?.stages?.length;
  if (!live) return;
  fill($("stage-list"), ...live.stages.map((one) => {
    const left = !one.is_over && live.eta_seconds !== null ? `, ${duration(live.eta_seconds)} left` : "";
    const bar = one.total ? el("progress", {max: one.total, value: one.done, "aria-label": one.name}) : el("progress", {"aria-label": one.name});
    return el("div", {class: "stage"}, el("b", {}, one.name), bar, el("span", {}, one.total ? `${count(one.done)} of ${count(one.total)}` : count(one.done)),
      el("small", {}, one.is_over ? `in ${duration(one.seconds)}` : `${duration(one.seconds)}${left}`));
  }));
  $("pace").textContent = `${digits(live.calls_per_second, 1)} calls/s · ${count(live.tokens_per_second)} tokens/s · ${digits(live.done_per_minute, 1)} items/min`;
}

function showHealth(live) {
  $("health").hidden = !live;
  if (!live) return;
  const {spent_usd: spent, budget_usd: budget} = live;
  fill($("budget"), spent === null ? el("p", {class: "note"}, "Cost is unknown: the config has no price.")
    : el("div", {class: "stage"}, el("b", {}, "spent"), budget ? el("progress", {max: budget, value: spent, "aria-label": "budget"}) : null,
      el("span", {}, budget ? `${dollars(spent)} of ${dollars(budget)}` : dollars(spent))));
  fill($("keys"), live.keys.length ? table([["key", ""], ["state", ""], ["", "text"]], live.keys.map((one) => [one.name, el("span", {class: `key ${one.state.replace(" ", "-")}`}, one.state), one.why])) : null);
  const said = new Set(live.keys.filter((one) => one.state === "retired").map((one) => `key ${one.name}`));
  fill($("notes"), ...Object.entries(live.notes).filter(([name]) => !said.has(name)).map(([name, note]) => el("p", {class: "note"}, el("b", {}, `${name}: `), note)));
}

function showFigures({counts, live}) {
  const cost = live?.spent_usd ?? counts.cost_usd;
  const done = (stage) => live?.stages?.find((one) => one.name === stage)?.done || 0;  // what is in no file yet counts too
  const figures = [["Documents", Math.max(counts.documents, done("personas"))],
    ["Personas", Math.max(counts.personas, live?.personas_admitted || 0)],
    ["Conversations", Math.max(counts.conversations, done("conversations"))], ["Model calls", counts.calls],
    ["Given up", Math.max(counts.failures, live?.failures || 0)]].map(([name, value]) => [name, count(value)]);
  if (counts.bios) figures.push(["People", count(counts.bios)]);
  figures.push(["Cost", cost === null || cost === undefined ? "unknown" : dollars(cost)], ["Time at work", duration(counts.seconds || 0)]);
  fill($("figures"), ...figures.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function show(now) {
  document.title = `${now.run.state} · ${now.run.name}`;
  $("run-id").textContent = now.run.id;
  $("run-name").textContent = now.run.name;
  if ($("run-state").textContent !== `${now.run.state}.`) $("run-state").textContent = `${now.run.state}.`;
  showFigures(now);
  showStages(now.live);
  showHealth(now.live);
  $("failures").hidden = !now.failures.length;
  fill($("failures-table"), el("div", {class: "across"}, table([["items", "number"], ["stage", ""], ["kind", ""], ["an example", "text"]],
    now.failures.map((one) => [one.count, one.stage, one.kind, clip(one.example, 160)]))));
  $("seen-at").textContent = `As of ${new Date().toLocaleTimeString("en-GB")}`;
  if (Date.now() - drawnAt < DRAW_MS) return;
  drawnAt = Date.now();
  DATA.history = now.history;
  DATA.counts = now.counts;
  Object.assign(charts, timeCharts());
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  for (const figure of figures) { figure.hidden = !charts[figure.dataset.chart]; delete figure.dataset.drawn; draw(figure); }
  $("time").hidden = !figures.some((one) => !one.hidden);
}

async function ask() {
  try {
    const answer = await fetch("/state.json");
    if (!answer.ok) throw new Error(`the server says ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    $("run-state").textContent = `No news: ${error.message}.`;
  }
  setTimeout(ask, ASK_MS);
}

show(DATA);
setTimeout(ask, ASK_MS);
