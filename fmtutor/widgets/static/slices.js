// Three linked views of a volume. Plain JavaScript on anywidget: no build, no other package.
//
// Axes are those of fmtutor: h, w, d run to the patient's right, front and head. On screen all
// in-plane axes run towards the left and the top, which is the radiologists' convention.
// Voxels arrive once, as a message, after this module has said that it is ready.

const PLANES = [
  { name: "axial", axis: 2, u: 0, v: 1, letters: ["R", "L", "A", "P"] },
  { name: "coronal", axis: 1, u: 0, v: 2, letters: ["R", "L", "S", "I"] },
  { name: "sagittal", axis: 0, u: 1, v: 2, letters: ["A", "P", "S", "I"] },
];
const PRESETS = { "soft tissue": [-160, 240], "liver": [0, 150], "lung": [-1350, 150],
                  "bone": [-450, 1050], "everything": null };
const BUTTONS = ["left", "middle", "right"];
const CLICK_PX = 4; // a press that moves less than this is a click
const FILL = 0.5;
const WIDTH_PX = 900;

function element(tag, parent, style, text) {
  const made = document.createElement(tag);
  Object.assign(made.style, style || {});
  if (text) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function typed(view, kind) {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return new { i2: Int16Array, f4: Float32Array, u2: Uint16Array }[kind](bytes);
}

function colourOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function debounced(wait, action) {
  let timer = null;
  return () => { clearTimeout(timer); timer = setTimeout(action, wait); };
}

class Slices {
  constructor(model, el) {
    this.model = model;
    this.shape = model.get("shape");
    this.spacing = model.get("spacing_mm");
    this.voxel = [...model.get("voxel")];
    this.window = [...model.get("window")];
    this.colours = new Map(model.get("structures").map(([n, name, hex]) => [n, colourOf(hex)]));
    this.names = new Map(model.get("structures").map(([n, name]) => [n, name]));
    this.root = element("div", el, { font: "12px sans-serif", maxWidth: `${WIDTH_PX}px` });
    this.root.className = "fmtutor-slices";
    this.root.dataset.lmSuppressShortcuts = "true";
    this.share = debounced(120, () => {
      model.set("voxel", [...this.voxel]);
      model.set("window", [...this.window]);
      model.save_changes();
    });
    const row = element("div", this.root, { display: "flex", gap: "4px", background: "black" });
    this.views = PLANES.map((plane) => this.makeView(plane, row));
    this.makeControls();
  }

  makeView(plane, row) {
    const [wide, tall] = [plane.u, plane.v].map((a) => this.shape[a] * this.spacing[a]);
    const across = PLANES.reduce((sum, p) => sum + this.shape[p.u] * this.spacing[p.u], 0);
    const scale = (WIDTH_PX - 8) / across;
    const canvas = element("canvas", row, { width: `${wide * scale}px`, height: `${tall * scale}px`,
                                            cursor: "crosshair", outline: "none", flex: "none" });
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(wide * scale * ratio));
    canvas.height = Math.max(1, Math.round(tall * scale * ratio));
    canvas.tabIndex = 0;
    canvas.dataset.plane = plane.name;
    canvas.title = "wheel or arrow keys: scroll; drag: cross-hair; click: report the voxel";
    const slice = document.createElement("canvas");
    slice.width = this.shape[plane.u];
    slice.height = this.shape[plane.v];
    const view = { plane, canvas, slice, pressed: null };
    this.listen(view);
    return view;
  }

  // The voxel under a mouse event: the third coordinate is the slice on show.
  voxelAt(view, event) {
    const box = view.canvas.getBoundingClientRect();
    const { axis, u, v } = view.plane;
    const clamp = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    const found = [0, 0, 0];
    found[u] = clamp((1 - (event.clientX - box.left) / box.width) * this.shape[u], this.shape[u]);
    found[v] = clamp((1 - (event.clientY - box.top) / box.height) * this.shape[v], this.shape[v]);
    found[axis] = this.voxel[axis];
    return found;
  }

  listen(view) {
    const { canvas, plane } = view;
    // JupyterLab opens its own menu unless the event stops here; the menu would eat what follows.
    const own = (event) => { event.preventDefault(); event.stopPropagation(); };
    canvas.addEventListener("contextmenu", own);
    canvas.addEventListener("wheel", (event) => {
      own(event);
      this.scroll(plane.axis, event.deltaY < 0 ? 1 : -1);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (step) { own(event); this.scroll(plane.axis, step); }
    });
    canvas.addEventListener("pointerdown", (event) => {
      own(event);
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      view.pressed = { x: event.clientX, y: event.clientY, button: event.button, moved: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      const start = view.pressed;
      if (!start) return;
      start.moved ||= Math.hypot(event.clientX - start.x, event.clientY - start.y) > CLICK_PX;
      if (start.moved && start.button === 0) this.moveTo(this.voxelAt(view, event));
    });
    canvas.addEventListener("pointerup", (event) => {
      own(event);
      const start = view.pressed;
      view.pressed = null;
      if (start && !start.moved) this.click(this.voxelAt(view, event), start.button, event.shiftKey);
    });
    canvas.addEventListener("pointercancel", () => { view.pressed = null; });
  }

  scroll(axis, step) {
    const to = [...this.voxel];
    to[axis] = Math.min(this.shape[axis] - 1, Math.max(0, to[axis] + step));
    this.moveTo(to);
  }

  moveTo(voxel) {
    this.voxel = voxel;
    this.draw();
    this.share();
  }

  click(voxel, button, shift) {
    this.moveTo(voxel);
    this.model.send({ kind: "click", voxel, button: BUTTONS[button] || "left", shift });
  }

  makeControls() {
    const bar = element("div", this.root, { display: "flex", gap: "12px", alignItems: "center",
                                            flexWrap: "wrap", padding: "4px 0" });
    const [least, most] = this.model.get("values");
    const slider = (text, low, high, value, act) => {
      const label = element("label", bar, { display: "flex", gap: "4px" }, text);
      const input = element("input", label, { width: "110px" });
      Object.assign(input, { type: "range", min: low, max: high, step: "any", value });
      input.addEventListener("input", () => act(Number(input.value)));
      return input;
    };
    const level = () => (this.window[0] + this.window[1]) / 2;
    const width = () => this.window[1] - this.window[0];
    const set = (middle, wide) => {
      this.window = [middle - wide / 2, middle + wide / 2];
      this.level.value = middle;
      this.width.value = wide;
      this.draw();
      this.share();
    };
    const span = Math.max(most - least, 1e-6);
    this.level = slider("level", least, most, level(), (value) => set(value, width()));
    this.width = slider("width", span / 500, span, width(), (value) => set(level(), value));
    if (this.model.get("unit") === "HU") {
      const choice = element("select", bar);
      choice.title = "window";
      for (const name of Object.keys(PRESETS)) element("option", choice, {}, name);
      choice.addEventListener("change", () => {
        const [low, high] = PRESETS[choice.value] || [least, most];
        set((low + high) / 2, high - low);
      });
    }
    const label = element("label", bar, {}, "labels ");
    this.toggle = element("input", label);
    Object.assign(this.toggle, { type: "checkbox", checked: this.model.get("show_labels") });
    this.toggle.addEventListener("change", () => {
      this.model.set("show_labels", this.toggle.checked);
      this.model.save_changes();
      this.draw();
    });
    this.readout = element("div", this.root, { fontFamily: "monospace", whiteSpace: "pre-wrap" }, "waiting for the volume");
  }

  receive(content, buffers) {
    if (content.kind !== "volume") return;
    this.image = typed(buffers[0], content.image);
    this.labels = typed(buffers[1], content.labels);
    this.draw();
    this.root.dataset.ready = "true";
  }

  offset(voxel) {
    return (voxel[0] * this.shape[1] + voxel[1]) * this.shape[2] + voxel[2];
  }

  draw() {
    if (!this.image) return;
    for (const view of this.views) this.drawView(view);
    this.tell();
  }

  drawView({ plane, canvas, slice }) {
    const { axis, u, v } = plane;
    const strides = [this.shape[1] * this.shape[2], this.shape[2], 1];
    const [across, up] = [this.shape[u], this.shape[v]];
    const paint = slice.getContext("2d").createImageData(across, up);
    const [low, high] = this.window;
    const gain = 255 / Math.max(high - low, 1e-6);
    const over = this.toggle.checked;
    for (let y = 0, out = 0; y < up; y++) {
      const base = this.voxel[axis] * strides[axis] + (up - 1 - y) * strides[v];
      for (let x = 0; x < across; x++, out += 4) {
        const at = base + (across - 1 - x) * strides[u];
        const grey = (this.image[at] - low) * gain;
        const colour = over && this.labels[at] ? this.colours.get(this.labels[at]) : null;
        const base8 = Math.min(255, Math.max(0, grey));
        for (let c = 0; c < 3; c++) {
          paint.data[out + c] = colour ? base8 * (1 - FILL) + colour[c] * FILL : base8;
        }
        paint.data[out + 3] = 255;
      }
    }
    slice.getContext("2d").putImageData(paint, 0, 0);
    this.decorate(plane, canvas, slice);
  }

  decorate({ name, axis, u, v, letters }, canvas, slice) {
    const pen = canvas.getContext("2d");
    const [wide, tall] = [canvas.width, canvas.height];
    pen.imageSmoothingEnabled = false;
    pen.drawImage(slice, 0, 0, wide, tall);
    const x = (1 - (this.voxel[u] + 0.5) / this.shape[u]) * wide;
    const y = (1 - (this.voxel[v] + 0.5) / this.shape[v]) * tall;
    pen.strokeStyle = "rgba(255, 213, 74, 0.8)";
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, 0); pen.lineTo(x, tall); pen.moveTo(0, y); pen.lineTo(wide, y);
    pen.stroke();
    const size = Math.round(12 * (window.devicePixelRatio || 1));
    pen.font = `bold ${size}px sans-serif`;
    pen.fillStyle = "#9fd3ff";
    pen.textAlign = "center";
    pen.fillText(letters[0], size, tall / 2);
    pen.fillText(letters[1], wide - size, tall / 2);
    pen.fillText(letters[2], wide / 2, size * 1.2);
    pen.fillText(letters[3], wide / 2, tall - size * 0.5);
    pen.font = `${size}px sans-serif`;
    pen.textAlign = "left";
    pen.fillText(`${name} ${"hwd"[axis]}=${this.voxel[axis]}`, 4, size * 1.2);
  }

  tell() {
    const affine = this.model.get("affine");
    const mm = [0, 1, 2].map((row) => {
      const [a, b, c, shift] = affine.slice(4 * row, 4 * row + 4);
      return (a * this.voxel[0] + b * this.voxel[1] + c * this.voxel[2] + shift).toFixed(1);
    });
    const at = this.offset(this.voxel);
    const value = Math.round(this.image[at] * 10) / 10;
    const structure = (this.names.get(this.labels[at]) || "no label").replaceAll("_", " ");
    this.readout.textContent = `voxel (${this.voxel.join(", ")})   RAS (${mm.join(", ")}) mm   ` +
      `${value} ${this.model.get("unit")}   ${structure}`;
    this.root.dataset.voxel = this.voxel.join(",");
  }
}

function render({ model, el }) {
  const slices = new Slices(model, el);
  const receive = (content, buffers) => slices.receive(content, buffers);
  const follow = () => {
    const voxel = model.get("voxel");
    if (voxel.join() === slices.voxel.join()) return;
    slices.voxel = [...voxel];
    slices.draw();
  };
  model.on("msg:custom", receive);
  model.on("change:voxel", follow);
  model.send({ kind: "ready" });
  return () => {
    model.off("msg:custom", receive);
    model.off("change:voxel", follow);
  };
}

export default { render };
