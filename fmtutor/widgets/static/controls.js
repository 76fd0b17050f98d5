// Window, level and the switch of the labels, below the planes. First file of every module.

const PRESETS = { "soft tissue": [-160, 240], "liver": [0, 150], "lung": [-1350, 150],
                  "bone": [-450, 1050], "everything": null };

function element(tag, parent, style, text) {
  const made = document.createElement(tag);
  Object.assign(made.style, style || {});
  if (text) made.textContent = text;
  parent.appendChild(made);
  return made;
}

// Build the controls of a view; returns what the view keeps of them.
function makeControls(view) {
  const { model } = view;
  const bar = element("div", view.root, { display: "flex", gap: "12px", alignItems: "center",
                                          flexWrap: "wrap", padding: "4px 0" });
  const [least, most] = model.get("values");
  const slider = (text, low, high, value, act) => {
    const label = element("label", bar, { display: "flex", gap: "4px" }, text);
    const input = element("input", label, { width: "110px" });
    Object.assign(input, { type: "range", min: low, max: high, step: "any", value });
    input.addEventListener("input", () => act(Number(input.value)));
    return input;
  };
  const middle = () => (view.window[0] + view.window[1]) / 2;
  const span = () => view.window[1] - view.window[0];
  const set = (at, wide) => {
    view.window = [at - wide / 2, at + wide / 2];
    level.value = at;
    width.value = wide;
    view.draw();
    view.share();
  };
  const all = Math.max(most - least, 1e-6);
  const level = slider("level", least, most, middle(), (value) => set(value, span()));
  const width = slider("width", all / 500, all, span(), (value) => set(middle(), value));
  if (model.get("unit") === "HU") {
    const choice = element("select", bar);
    choice.title = "window";
    choice.setAttribute("aria-label", "window");
    for (const name of Object.keys(PRESETS)) element("option", choice, {}, name);
    choice.addEventListener("change", () => {
      const [low, high] = PRESETS[choice.value] || [least, most];
      set((low + high) / 2, high - low);
    });
  }
  const label = element("label", bar, {}, "labels ");
  const toggle = element("input", label);
  Object.assign(toggle, { type: "checkbox", checked: model.get("show_labels") });
  toggle.addEventListener("change", () => {
    model.set("show_labels", toggle.checked);
    model.save_changes();
    view.draw();
  });
  return { bar, toggle };
}
