// Documents, each beside the tree of its personas.
function branch(one, children) {
  const below = children.get(one.id) || [];
  const line = [el("b", {}, one.relation), " ", el("span", {dir: "auto"}, one.text)];
  if (!below.length) return el("li", {}, ...line);
  const more = el("small", {class: "empty"}, ` (${count(below.length)})`);
  return el("li", {}, el("details", {open: one.depth < 1}, el("summary", {}, ...line, more), el("ul", {}, ...below.map((other) => branch(other, children)))));
}

function showDocument() {
  const chosenOne = DATA.documents[Number($("document-choice").value)];
  const children = new Map();
  for (const one of chosenOne.people) children.set(one.parent, [...(children.get(one.parent) || []), one]);
  const known = new Set(chosenOne.people.map((one) => one.id));
  const roots = chosenOne.people.filter((one) => !one.parent || !known.has(one.parent));
  const cut = chosenOne.characters > chosenOne.text.length ? el("span", {class: "empty"}, `\n… ${count(chosenOne.characters)} characters in all`) : null;
  fill($("document-text"), el("span", {dir: "auto"}, chosenOne.text), cut);
  const left = chosenOne.personas - chosenOne.people.length;
  fill($("document-tree"), el("ul", {class: "tree"}, ...roots.map((one) => branch(one, children))),
    left ? el("p", {class: "empty"}, `and ${many(left, "persona")} more`) : null);
}

function startDocuments() {
  const documents = DATA.documents;
  if (!documents.length) { $("documents").hidden = true; return; }
  const of = DATA.counts.documents_with_personas || DATA.counts.documents;
  $("documents-note").textContent = documents.length < of ? `${count(documents.length)} of ${many(of, "document")}, chosen by the run's seed.` : `${many(documents.length, "document")}.`;
  options($("document-choice"), documents.map((one, at) => [at, `${documentName(one.id)} · ${many(one.personas, "persona")} · ${clip(one.text.replace(/\s+/g, " "), 70)}`]));
  $("document-choice").addEventListener("change", showDocument);
  showDocument();
}
