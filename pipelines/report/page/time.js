// How the run went over time at work; nights between its sessions are left out.
const UNITS = [[1, "s", "seconds"], [60, "min", "minutes"], [3600, "h", "hours"], [86400, "d", "days"]];

function timeUnit(points) {
  const last = points.length ? points[points.length - 1].seconds : 0;
  return [...UNITS].reverse().find(([length]) => last >= 3 * length) || UNITS[0];
}

// Counts per `per` seconds between points that lie a fortieth of the whole apart, so that the line is calm.
function rates(points, names, per, [length]) {
  const total = points[points.length - 1].seconds - points[0].seconds, step = Math.max(1, total / 40), values = [];
  let from = points[0];
  for (const to of points.slice(1)) {
    if (to.seconds - from.seconds < step) continue;
    for (const [field, series] of names) {
      const rate = Math.max(0, to[field] - from[field]) / (to.seconds - from.seconds) * per;
      values.push({x: (from.seconds + to.seconds) / 2 / length, value: rate, series});
    }
    from = to;
  }
  return values;
}

function sums(points, names, [length]) {
  return points.flatMap((one) => names.map(([field, series]) => ({x: one.seconds / length, value: one[field] || 0, series})));
}

function timeCharts() {
  const points = DATA.history;
  if (points.length < 3) return {};
  const unit = timeUnit(points), title = `${unit[2]} at work`, last = points[points.length - 1];
  const common = {x: "x", title, series: "series"};
  const said = (values) => [[[unit[2], "number"], ["", ""], ["value", "number"]], values.map((one) => [Number(one.x.toFixed(3)), one.series, Number(one.value.toFixed(4))])];
  const priced = DATA.counts.cost_usd !== null && DATA.counts.cost_usd !== undefined && last.cost_usd > 0;
  const cost = priced ? sums(points, [["cost_usd", "USD"]], unit) : sums(points, [["prompt_tokens", "prompt tokens"], ["completion_tokens", "completion tokens"]], unit);
  const made = [["personas_admitted", "personas"], ["conversations_done", "conversations"]].filter(([field]) => last[field]);
  const pace = rates(points, made, 60, unit), calls = rates(points, [["calls", "calls"]], 1, unit);
  const trouble = sums(points, [["retries", "tried again"], ["throttled", "429s"]], unit);
  $("cost-caption").textContent = priced ? "Spent so far, in USD" : "Tokens so far";
  return {
    cost: {says: "What was spent over time", spec: lines(cost, {...common, format: priced ? "$,.2~f" : "~s", series: priced ? null : "series"}), table: said(cost)},
    pace: made.length ? {says: "Personas and conversations a minute", spec: lines(pace, common), table: said(pace)} : null,
    calls: {says: "Calls a second", spec: lines(calls, {...common, series: null}), table: said(calls)},
    trouble: last.retries || last.throttled ? {says: "Retries and 429s", spec: lines(trouble, common), table: said(trouble)} : null,
  };
}
