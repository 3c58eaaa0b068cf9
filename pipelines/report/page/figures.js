// What the charts of the report show.
const REASONS = {exact: "exact repeats", minhash: "nearly equal words", embedding: "near-duplicates"};

function funnelChart() {
  const rows = (DATA.funnel || []).filter((row) => row.candidates);
  if (!rows.length) return null;
  const parts = rows.flatMap((row) => {
    const near = (row.exact || 0) + (row.minhash || 0) + (row.embedding || 0);
    return [["admitted", row.admitted], ["near-duplicates", near], ["filtered", row.candidates - row.admitted - near]]
      .map(([what, number], order) => ({depth: `depth ${row.depth}`, what, number, order}));
  });
  const range = ["var(--accent)", "var(--depth-3)", "var(--other)"];
  return {says: "Candidates of each depth that were admitted, refused as near-duplicates, or filtered",
    spec: {data: {values: parts}, height: 34 * rows.length, mark: {type: "bar", height: {band: 0.55}, cornerRadiusEnd: 0}, encoding: {
      y: {field: "depth", type: "nominal", title: null},
      x: {aggregate: "sum", field: "number", type: "quantitative", title: "candidates", axis: {format: "~s", tickCount: 5}},
      order: {field: "order"},
      color: {field: "what", type: "nominal", scale: {domain: ["admitted", "near-duplicates", "filtered"], range}}}},
    table: [[["depth", "number"], ...Object.keys(rows[0]).slice(1).map((name) => [name, "number"])],
      rows.map((row) => Object.values(row))]};
}

function dialoguesChart() {
  const told = DATA.counts.quality;
  if (!told || !told.asked) return null;
  const names = {judge: "refused by the judge", opening: "opening like another's", coherence: "opening unlike persona"};
  const values = [["asked for", told.asked], ...Object.entries(told.refused).map(([why, number]) => [names[why] || why, number]),
    ["failed", told.failed], ["accepted", told.accepted]].map(([what, number]) => ({what, number}));
  return {says: "Dialogues that were asked for, refused, failed and accepted",
    spec: bars(values, {x: "number", y: "what", title: "dialogues"}),
    table: [[["", ""], ["dialogues", "number"]], values.map((one) => [one.what, one.number])]};
}

function byDepth(values, title, says) {
  if (!values.length) return null;
  return {says, spec: columns(values, "depth", "number", title),
    table: [[["depth", "number"], [title, "number"]], values.map((one) => [one.depth, one.number])]};
}

function depthChart() {
  const rows = (DATA.funnel || []).filter((row) => row.admitted).map((row) => ({depth: row.depth, number: row.admitted}));
  return byDepth(rows, "depth", "How many personas each depth has");
}

function talkDepthChart() {
  const found = new Map();
  for (const one of DATA.talks.rows) if (one.depth !== null) found.set(one.depth, (found.get(one.depth) || 0) + 1);
  const rows = [...found].sort((one, other) => one[0] - other[0]).map(([depth, number]) => ({depth, number}));
  return byDepth(rows, "depth of the persona", `Of ${count(DATA.talks.rows.length)} conversations`);
}

function wordsChart() {
  const values = DATA.people.columns.words.map((words) => ({words}));
  return values.length ? {says: `Words of ${many(values.length, "persona")}`, spec: histogram(values, "words", "words")} : null;
}

function messagesChart() {
  const {user, assistant} = DATA.lengths;
  const values = [...user.map((length) => ({who: "user", length})), ...assistant.map((length) => ({who: "assistant", length}))];
  if (!values.length) return null;
  const most = values.map((one) => one.length).sort((a, b) => a - b)[Math.floor(0.995 * (values.length - 1))];
  const colour = {color: {field: "who", type: "nominal", scale: {domain: ["user", "assistant"], range: ["var(--accent)", "var(--other)"]}}};
  return {says: `Characters of ${many(values.length, "message")}`,
    spec: histogram(values.filter((one) => one.length <= most), "length", "characters", colour)};
}

function nearestChart() {
  const told = DATA.diversity?.run?.nearest;
  if (!told) return null;
  const values = told.histogram.map((number, at) => ({from: at / 20, to: (at + 1) / 20, number})).filter((one, at, all) =>
    one.number || all.slice(0, at).some((other) => other.number));
  return {says: `Median ${digits(told.median, 2)}; ${percent(told.share_from_0_8)} at .8 or more`, spec: {height: 180, layer: [
    {data: {values}, mark: {type: "bar", binSpacing: 1}, encoding: {
      x: {field: "from", bin: {binned: true, step: 0.05}, title: "cosine", axis: {format: ".2f", tickCount: 8, grid: false}}, x2: {field: "to"},
      y: {field: "number", type: "quantitative", title: null, axis: {tickCount: 4, format: ",d"}}}},
    {data: {values: [{at: told.median}]}, mark: {type: "rule", color: "var(--ink)", strokeDash: [3, 3]},
      encoding: {x: {field: "at", type: "quantitative"}}},
    {data: {values: [{at: told.median, text: `median ${digits(told.median, 2)}`}]},
      mark: {type: "text", align: "right", dx: -6, y: 8, color: "var(--ink)"},
      encoding: {x: {field: "at", type: "quantitative"}, text: {field: "text"}}}]},
    table: [[["cosine from", "number"], ["to", "number"], ["personas", "number"]], values.map((one) => [one.from, one.to, one.number])]};
}

function cellsChart() {
  const groups = [["all", DATA.diversity?.run], ...(DATA.diversity?.by_depth || []).map((one) => [`depth ${one.depth}`, one])];
  const values = groups.flatMap(([who, one]) => (one?.cells || []).map((cell) => ({who, ...cell})));
  if (!values.length) return null;
  return {says: "How many cells the first 10, 100, … personas reach", spec: {data: {values}, height: 180,
    mark: {type: "line", point: true}, encoding: {
      x: {field: "personas", type: "quantitative", scale: {type: "log"}, title: "personas", axis: {format: "~s", tickCount: 5, grid: false}},
      y: {field: "cells", type: "quantitative", scale: {type: "log"}, title: null, axis: {format: "~s", values: [10, 100, 1000, 10000]}},
      color: {field: "who", type: "nominal", scale: {domain: groups.map(([who]) => who), range: ["var(--warn)", ...DEPTHS]}}}},
    table: [[["of", ""], ["personas", "number"], ["cells", "number"]], values.map((one) => [one.who, one.personas, one.cells])]};
}

function auditChart(attribute) {
  const groups = attribute.groups.filter((one) => one.count || one.reference);
  const values = groups.map((one) => ({group: one.group, share: one.share, low: one.bounds.low, high: one.bounds.high,
    reference: one.reference})).sort((one, other) => other.share - one.share);
  const y = {field: "group", type: "nominal", sort: values.map((one) => one.group), title: null};
  const layer = [{mark: {type: "bar", height: {band: 0.56}, cornerRadiusEnd: 3, color: "var(--depth-3)"}, encoding: {x: {field: "share", type: "quantitative"}}},
    {mark: {type: "rule", color: "var(--ink)", strokeWidth: 1.5}, encoding: {x: {field: "low", type: "quantitative",
      title: "share of those of whom it is said, with 95 % intervals", axis: {format: ".0%", tickCount: 5}}, x2: {field: "high"}}}];
  if (values.some((one) => one.reference !== null)) {
    layer.push({mark: {type: "tick", color: "var(--warn)", thickness: 3}, encoding: {x: {field: "reference", type: "quantitative"}}});
  }
  return {says: `Groups of ${attribute.title}`, spec: {data: {values}, height: 28 * values.length, encoding: {y}, layer},
    table: [[["group", ""], ["personas", "number"], ["share", "number"], ["low", "number"], ["high", "number"], ["reference", "number"]],
      groups.map((one) => [one.group, one.count, one.share, one.bounds.low, one.bounds.high, one.reference ?? "–"])]};
}

function scoresChart() {
  const scores = DATA.counts.quality?.scores;
  if (!scores) return null;
  const values = Object.entries(scores).map(([name, mean]) => ({name: name.replaceAll("_", " "), mean}));
  return {says: "Mean scores from 0 to 1", spec: bars(values, {x: "mean", y: "name", title: "mean, 0 to 1", format: ".2f", sort: null}),
    table: [[["criterion", ""], ["mean", "number"]], values.map((one) => [one.name, one.mean])]};
}

function consistencyChart() {
  const turns = DATA.counts.quality?.consistency || [];
  if (!turns.length) return null;
  return {says: "Where it falls from message to message, the persona fades", spec: {data: {values: turns}, height: 180,
    mark: {type: "line", point: true}, encoding: {
      x: {field: "message", type: "ordinal", title: "message of the user", axis: {labelAngle: 0}},
      y: {field: "mean", type: "quantitative", title: null, scale: {zero: false, padding: 12}, axis: {tickCount: 4, format: ".3f"}}}},
    table: [[["message", "number"], ["mean", "number"], ["rows", "number"]], turns.map((one) => [one.message, one.mean, one.rows])]};
}
