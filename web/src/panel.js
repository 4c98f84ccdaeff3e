// Buttons, legend, status line and the panel of facts.

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

/** Fill the panel of facts. */
export function showFacts(description) {
  const list = document.getElementById("facts");
  for (const [name, value] of description.facts) {
    list.append(element("dt", "", name), element("dd", "", value));
  }
}

/** Add a button that is pressed or not; `act` gets the new state. Returns a function that sets the state. */
export function toggle(bar, { label, key, title, act }) {
  const button = element("button", "", label);
  button.type = "button";
  button.title = title + (key ? ` (${key})` : "");
  const set = (on) => {
    button.setAttribute("aria-pressed", String(on));
    act(on);
  };
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => set(button.getAttribute("aria-pressed") !== "true"));
  onKey(key, () => button.click());
  bar.append(button);
  return set;
}

/** Add a button that does something. */
export function command(bar, { label, key, title, act }) {
  const button = element("button", "", label);
  button.type = "button";
  button.title = title + (key ? ` (${key})` : "");
  button.addEventListener("click", act);
  onKey(key, () => button.click());
  bar.append(button);
  return button;
}

/** Show the colours of the classes. */
export function fillLegend(classes) {
  const legend = document.getElementById("legend");
  const occurring = classes.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
  for (const { name, colour, share } of occurring) {
    const row = element("li");
    const swatch = element("span", "swatch");
    swatch.style.background = colour;
    row.append(swatch, element("span", "", name.replaceAll("_", " ")), element("span", "share", share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`));
    legend.append(row);
  }
}

/** Return text for a point [m]. */
export function coordinates(point) {
  return `x ${point.x.toFixed(2)}  y ${point.y.toFixed(2)}  z ${point.z.toFixed(2)} m`;
}

function onKey(key, act) {
  if (!key) return;
  addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toUpperCase() === key) act();
  });
}
