// Charts that are SVG: their colours are the page's, so they follow it into the dark and onto paper.
const AXIS = {labelColor: "var(--soft)", titleColor: "var(--soft)", gridColor: "var(--grid)", domainColor: "var(--line)",
  tickColor: "var(--line)", labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, labelPadding: 6, titlePadding: 10,
  ticks: false, domain: false, labelLimit: 220};
const FONT = "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const CONFIG = {background: null, font: FONT, view: {stroke: null}, axis: AXIS, bar: {color: "var(--accent)"},
  line: {color: "var(--accent)", strokeWidth: 2}, point: {color: "var(--accent)", filled: true, size: 45}, text: {color: "var(--soft)", fontSize: 12},
  legend: {labelColor: "var(--soft)", titleColor: "var(--soft)", labelFontSize: 12, symbolType: "circle", orient: "top",
    title: null, labelLimit: 260, columns: 4}};
const DEPTHS = ["var(--depth-0)", "var(--depth-1)", "var(--depth-2)", "var(--depth-3)", "var(--depth-4)"];

const charts = {};  // name → {spec, table: [columns, rows], says}; null where there is nothing to draw

function bars(values, {x, y, title, format = ",d", sort = null, height = 32}) {
  return {data: {values}, height: height * values.length, layer: [
    {mark: {type: "bar", cornerRadiusEnd: 3, height: {band: 0.58}}},
    {mark: {type: "text", align: "left", dx: 6}, encoding: {text: {field: x, format}}}],
    encoding: {y: {field: y, type: "nominal", sort, title: null},
      x: {field: x, type: "quantitative", title, axis: {format, tickCount: 5}, scale: {nice: true}}}};
}

function histogram(values, field, title, extra = {}) {
  return {data: {values}, height: 180, mark: {type: "bar", binSpacing: 1},
    encoding: {x: {bin: {maxbins: 32}, field, type: "quantitative", title, axis: {format: ",d", tickCount: 8, grid: false}},
      y: {aggregate: "count", title: null, axis: {tickCount: 4, format: ",d"}}, ...extra}};
}

function columns(values, x, y, title, axis = {}) {
  return {data: {values}, height: 180, mark: {type: "bar", cornerRadiusEnd: 2, width: {band: 0.46}},
    encoding: {x: {field: x, type: "ordinal", title, axis: {labelAngle: 0, ...axis}},
      y: {field: y, type: "quantitative", title: null, axis: {tickCount: 4, format: ",d"}}}};
}

function lines(values, {x = "minutes", y = "value", series = null, title, yTitle = null, format = "~s", zero = true}) {
  const colour = series && {color: {field: series, type: "nominal", scale: {range: ["var(--accent)", "var(--warn)", "var(--faint)"]}}};
  return {data: {values}, height: 180, mark: {type: "line", interpolate: "monotone", clip: true},
    encoding: {x: {field: x, type: "quantitative", title, axis: {grid: false, tickCount: 6}},
      y: {field: y, type: "quantitative", title: yTitle, axis: {tickCount: 4, format}, scale: {zero}}, ...colour}};
}

function draw(figure) {
  const name = figure.dataset.chart, chart = charts[name];
  if (!chart || figure.dataset.drawn) return Promise.resolve();
  figure.dataset.drawn = "1";
  const place = figure.querySelector(".chart") || figure.appendChild(el("div", {class: "chart"}));
  const spec = {$schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container",
    autosize: {type: "fit-x", contains: "padding"}, description: chart.says, config: CONFIG, ...chart.spec};
  const made = vegaEmbed(place, spec, {actions: false, renderer: "svg", ast: true, logLevel: 1, tooltip: false}).catch((error) => {
    fill(place, el("p", {class: "empty"}, `This chart could not be drawn: ${error.message}`));
  });
  figure.querySelector("details.table")?.remove();
  if (chart.table) {
    figure.append(el("details", {class: "table"}, el("summary", {}, "As a table"),
      el("div", {class: "scroll", tabindex: "0"}, table(...chart.table))));
  }
  return made;
}

// Draws what comes near first, and the rest while the reader does nothing.
function drawAll() {
  const waiting = [...document.querySelectorAll("figure[data-chart]")].filter((figure) => {
    if (charts[figure.dataset.chart]) return true;
    figure.hidden = true;
    return false;
  });
  const watch = new IntersectionObserver((entries) => {
    for (const one of entries) if (one.isIntersecting) draw(one.target);
  }, {rootMargin: "400px"});
  waiting.forEach((figure) => watch.observe(figure));
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const next = () => {
    const figure = waiting.shift();
    if (figure) draw(figure).then(() => idle(next));
    else document.body.dataset.drawn = "1";
  };
  idle(next);
  window.addEventListener("beforeprint", () => document.querySelectorAll("figure[data-chart]").forEach(draw));
}
