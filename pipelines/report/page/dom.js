// Builds elements. Texts of models only ever become text nodes.
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function fill(place, ...children) {
  place.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

const count = (number) => (number || 0).toLocaleString("en", {maximumFractionDigits: 0});
const digits = (number, places) => number.toLocaleString("en", {minimumFractionDigits: places, maximumFractionDigits: places});
const percent = (share) => `${share > 0 && share < 0.0995 ? digits(100 * share, 1) : digits(100 * share, 0)}\u202f%`;
const dollars = (usd) => `$${digits(usd, usd >= 100 ? 0 : usd >= 1 ? 2 : 4)}`;

function duration(seconds) {
  if (seconds < 90) return `${count(seconds)} s`;
  if (seconds < 5400) return `${count(seconds / 60)} min`;
  return seconds < 172800 ? `${digits(seconds / 3600, 1)} h` : `${digits(seconds / 86400, 1)} d`;
}

const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);

// "1 persona", "2 personas"
const many = (number, one, more) => `${count(number)} ${number === 1 ? one : more || `${one}s`}`;

function table(columns, rows) {
  const head = columns.map(([name, kind]) => el("th", {scope: "col", class: kind}, name));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell, at) => {
    const shown = typeof cell === "number" ? cell.toLocaleString("en", {maximumFractionDigits: 4}) : String(cell);
    return el("td", {class: columns[at][1]}, cell instanceof Node ? cell : shown);
  })));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
}

// The text with what was searched for marked.
function marked(text, wanted) {
  const found = document.createDocumentFragment();
  if (!wanted) return text;
  const low = text.toLowerCase();
  let at = 0;
  for (let next = low.indexOf(wanted); next >= 0 && low.length === text.length; next = low.indexOf(wanted, at)) {
    found.append(text.slice(at, next), el("mark", {}, text.slice(next, next + wanted.length)));
    at = next + wanted.length;
  }
  found.append(text.slice(at));
  return found;
}

function options(select, pairs) {
  fill(select, ...pairs.map(([value, name]) => el("option", {value}, name)));
}

function later(handler, wait = 120) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(handler, wait); };
}
