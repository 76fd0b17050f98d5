// Buttons, structures, markers and the status line of the clicker. Follows planes.js.

const SMALL = 5; // radius of a marker in CSS pixels
const NO_ANSWER = "no answer from the kernel: wait if another cell is running, else run the cell again";
const LOST = "; if the kernel has ended, run the cell again";
const NEAR = 2; // slices from which a click still shows, hollow

function button(parent, text, title, act) {
  const made = element("button", parent, { font: "inherit", padding: "2px 8px" }, text);
  Object.assign(made, { type: "button", title });
  made.setAttribute("aria-label", title);
  made.addEventListener("click", act);
  return made;
}

function makePromptControls(view) {
  const bar = element("div", view.root, { display: "flex", gap: "6px", alignItems: "center",
                                          flexWrap: "wrap", padding: "2px 0" });
  button(bar, "undo", "undo the last prompt (ctrl z)", () => view.ask("undo"));
  button(bar, "redo", "redo the prompt that was undone (ctrl y)", () => view.ask("redo"));
  button(bar, "clear", "clear all prompts of this structure",
         () => view.ask("clear", { structure: view.active }));
  const depth = element("label", bar, { marginLeft: "8px" }, "box reaches ± ");
  view.depth = element("input", depth, { width: "44px" });
  Object.assign(view.depth, { type: "number", min: 0, value: 0,
                              title: "slices that a drawn box reaches to both sides" });
  depth.append(" slices");
  view.chooser = element("div", view.root, { display: "flex", gap: "6px", flexWrap: "wrap" });
  view.chooser.setAttribute("role", "group");
  view.chooser.setAttribute("aria-label", "structures");
  view.choices = new Map();
  const form = element("form", bar, { marginLeft: "8px", display: "flex", gap: "4px" });
  const name = element("input", form, { width: "120px" });
  Object.assign(name, { type: "text", placeholder: "new structure", title: "name of a new structure" });
  name.setAttribute("aria-label", "name of a new structure");
  button(form, "add", "add the structure", () => form.requestSubmit());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (name.value.trim()) view.ask("add", { name: name.value.trim() });
    name.value = "";
  });
  view.status = element("div", view.root, { padding: "3px 0", fontWeight: "bold", minHeight: "1.3em" });
  view.status.setAttribute("role", "status");
  view.status.setAttribute("aria-live", "polite");
}

// One button a structure, changed in place: rebuilt ones would lose the keyboard's focus.
function tellStructures(view) {
  view.structures.forEach(({ name, hex, voxels, ml }, at) => {
    if (!view.choices.has(name)) {
      const made = button(view.chooser, "", `work on ${name}`, () => view.choose(name));
      made.dataset.structure = name;
      view.choices.set(name, made);
    }
    const chosen = name === view.active;
    const made = view.choices.get(name);
    made.textContent = `${at + 1} ${name.replaceAll("_", " ")}`;
    made.setAttribute("aria-label", `${made.textContent}, ${voxels} voxels, ${ml.toFixed(1)} ml`);
    made.setAttribute("aria-pressed", String(chosen));
    Object.assign(made.style, { border: "2px solid", borderColor: chosen ? "currentcolor" : "#999",
                                borderLeft: `14px solid ${hex}`, fontWeight: chosen ? "bold" : "normal" });
  });
}

// A plus or a minus in a disc: the sign, not a colour, tells inside from outside.
function drawPoint(view, { plane, canvas }, pen, voxel, positive, hex) {
  const away = Math.abs(voxel[plane.axis] - view.voxel[plane.axis]);
  if (away > NEAR) return;
  const [x, y] = view.placeOf({ plane, canvas }, voxel);
  const size = SMALL * view.ratio;
  pen.lineWidth = 1.5 * view.ratio;
  pen.strokeStyle = "black";
  pen.fillStyle = positive ? "white" : "black";
  pen.beginPath();
  pen.arc(x, y, size, 0, 2 * Math.PI);
  if (!away) pen.fill();
  pen.strokeStyle = hex;
  pen.stroke();
  pen.strokeStyle = away || !positive ? "white" : "black";
  pen.beginPath();
  pen.moveTo(x - size * 0.6, y); pen.lineTo(x + size * 0.6, y);
  if (positive) { pen.moveTo(x, y - size * 0.6); pen.lineTo(x, y + size * 0.6); }
  pen.stroke();
}

// The outline of all voxels between two corners, both included.
function drawBox(view, { plane, canvas }, pen, one, other, hex) {
  const { axis, u, v } = plane;
  const at = view.voxel[axis];
  if (at < Math.min(one[axis], other[axis]) || at > Math.max(one[axis], other[axis])) return;
  const [x, y] = [u, v].map((a) => (1 - (Math.max(one[a], other[a]) + 1) / view.shape[a]));
  const [wide, tall] = [u, v].map((a) => (Math.abs(one[a] - other[a]) + 1) / view.shape[a]);
  const around = [x * canvas.width, y * canvas.height, wide * canvas.width, tall * canvas.height];
  pen.lineWidth = 3 * view.ratio;
  pen.strokeStyle = "black";
  pen.strokeRect(...around);
  pen.lineWidth = 1.5 * view.ratio;
  pen.strokeStyle = hex;
  pen.strokeRect(...around);
}

// One plain sentence: what the kernel is doing, what it refused, or what there is.
function statusOf(view) {
  const waits = [...view.waiting.values()];
  const longest = Math.max(0, ...waits.map(({ since }) => performance.now() - since));
  const heard = waits.some((wait) => wait.heard);
  if (waits.length && !heard && longest > 1000 * view.model.get("patience_s")) return NO_ANSWER;
  if (waits.length) {
    const tens = Math.floor(longest / 10000);
    const text = view.image ? "working ..." : "waiting for the volume ...";
    return text + (tens ? ` ${tens}0 s` : "") + (tens > 5 ? LOST : "");
  }
  if (view.error) return `refused: ${view.error}`;
  const chosen = view.structures.find(({ name }) => name === view.active);
  const clicks = view.prompts.filter(([n, kind]) => chosen && n === chosen.number && kind === "point");
  const found = chosen ? [`${chosen.name.replaceAll("_", " ")}: ${chosen.voxels} voxels`,
    `${chosen.ml.toFixed(1)} ml`, `${clicks.length} click${clicks.length === 1 ? "" : "s"}`] : [];
  if (view.seconds !== null) found.push(`last answer in ${view.seconds.toFixed(2)} s`);
  return found.join(", ") + (view.note ? `. ${view.note}` : "");
}
