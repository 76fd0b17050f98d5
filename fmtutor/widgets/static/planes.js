// Three linked planes of a volume: what every view shares. Plain JavaScript: no build, no other
// package. It is sent with the file that uses it, as one module (fmtutor/widgets/front_end.py).
//
// Axes are those of fmtutor: h, w, d run to the patient's right, front and head. On screen all
// in-plane axes run towards the left and the top, which is the radiologists' convention, and all
// planes have one scale in millimetres. Voxels arrive as a message, once this module is ready.

const PLANES = [
  { name: "axial", axis: 2, u: 0, v: 1, letters: ["R", "L", "A", "P"] },
  { name: "coronal", axis: 1, u: 0, v: 2, letters: ["R", "L", "S", "I"] },
  { name: "sagittal", axis: 0, u: 1, v: 2, letters: ["A", "P", "S", "I"] },
];
const BUTTONS = ["left", "middle", "right"];
const CLICK_PX = 4; // a press that moves less than this is a click
const PAGE = 10; // slices that page up and down take with shift
const WIDTH_PX = 900;
const FOCUS = ".fmtutor-planes :focus-visible { outline: 3px solid #e69f00; outline-offset: -3px; }";

function typed(view, kind) {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return new { i2: Int16Array, f4: Float32Array, u1: Uint8Array, u2: Uint16Array }[kind](bytes);
}

function rgbOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function debounced(wait, action) {
  let timer = null;
  return () => { clearTimeout(timer); timer = setTimeout(action, wait); };
}

// A view says what it is by: dragged, dropped and clicked (gestures), key, receive, marks, tell,
// and paintOf(label), which returns [red, green, blue, opacity].
class Planes {
  constructor(model, el, name, help) {
    this.model = model;
    this.shape = model.get("shape");
    this.spacing = model.get("spacing_mm");
    this.voxel = [...model.get("voxel")];
    this.window = [...model.get("window")];
    this.ratio = window.devicePixelRatio || 1;
    this.root = element("div", el, { font: "12px sans-serif", maxWidth: `${WIDTH_PX}px` });
    this.root.className = `fmtutor-planes ${name}`;
    this.root.dataset.lmSuppressShortcuts = "true";
    this.root.dataset.shape = this.shape.join(",");
    element("style", this.root, {}, FOCUS);
    this.share = debounced(120, () => {
      model.set("voxel", [...this.voxel]);
      model.set("window", [...this.window]);
      model.save_changes();
    });
    const row = element("div", this.root, { display: "flex", gap: "4px", background: "black" });
    this.views = PLANES.map((plane) => this.makeView(plane, row, help));
    Object.assign(this, makeControls(this));
    this.readout = element("div", this.root, { fontFamily: "monospace", whiteSpace: "pre-wrap" },
                           "waiting for the volume");
  }

  start() { this.model.send({ kind: "ready" }); }
  stop() {}
  key() { return false; }
  marks() {}

  makeView(plane, row, help) {
    const [wide, tall] = [plane.u, plane.v].map((a) => this.shape[a] * this.spacing[a]);
    const across = PLANES.reduce((sum, p) => sum + this.shape[p.u] * this.spacing[p.u], 0);
    const scale = (WIDTH_PX - 8) / across;
    const canvas = element("canvas", row, { width: `${wide * scale}px`, height: `${tall * scale}px`,
                                            cursor: "crosshair", flex: "none" });
    canvas.width = Math.max(1, Math.round(wide * scale * this.ratio));
    canvas.height = Math.max(1, Math.round(tall * scale * this.ratio));
    canvas.tabIndex = 0;
    canvas.dataset.plane = plane.name;
    canvas.title = help;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${plane.name} plane; ${help}`);
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
      this.step(plane.axis, event.deltaY < 0 ? 1 : -1);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (this.key(event) || this.walk(plane, event)) own(event);
    });
    canvas.addEventListener("pointerdown", (event) => {
      own(event);
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      view.pressed = { x: event.clientX, y: event.clientY, button: BUTTONS[event.button] || "left",
                       shift: event.shiftKey, ctrl: event.ctrlKey || event.metaKey,
                       voxel: this.voxelAt(view, event), moved: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      const start = view.pressed;
      if (!start) return;
      start.moved ||= Math.hypot(event.clientX - start.x, event.clientY - start.y) > CLICK_PX;
      if (start.moved) this.dragged(start, this.voxelAt(view, event), view);
    });
    canvas.addEventListener("pointerup", (event) => {
      own(event);
      const start = view.pressed;
      view.pressed = null;
      if (!start) return;
      if (start.moved) this.dropped(start, this.voxelAt(view, event), view);
      else this.clicked(start, this.voxelAt(view, event), view);
    });
    canvas.addEventListener("pointercancel", () => { view.pressed = null; });
  }

  // Arrow keys move the cross-hair within a plane, page up and down go through its slices.
  walk({ axis, u, v }, event) {
    const steps = { ArrowLeft: [u, 1], ArrowRight: [u, -1], ArrowUp: [v, 1], ArrowDown: [v, -1],
                    PageUp: [axis, 1], PageDown: [axis, -1] };
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return false;
    const [along, way] = steps[event.key];
    this.step(along, way * (event.shiftKey ? PAGE : 1));
    return true;
  }

  step(axis, by) {
    const to = [...this.voxel];
    to[axis] = Math.min(this.shape[axis] - 1, Math.max(0, to[axis] + by));
    this.moveTo(to);
  }

  moveTo(voxel) {
    this.voxel = voxel;
    this.share();
    // A wheel turns faster than three planes are drawn: at most once a frame.
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }

  follow(voxel) {
    if (voxel.join() === this.voxel.join()) return;
    this.voxel = [...voxel];
    this.draw();
  }

  offset(voxel) {
    return (voxel[0] * this.shape[1] + voxel[1]) * this.shape[2] + voxel[2];
  }

  draw() {
    if (!this.image) return;
    for (const view of this.views) this.drawView(view);
    this.tell();
    this.root.dataset.voxel = this.voxel.join(",");
  }

  drawView(view) {
    const { axis, u, v } = view.plane;
    const strides = [this.shape[1] * this.shape[2], this.shape[2], 1];
    const [across, up] = [this.shape[u], this.shape[v]];
    const pen = view.slice.getContext("2d");
    const paint = pen.createImageData(across, up);
    const [low, high] = this.window;
    const gain = 255 / Math.max(high - low, 1e-6);
    const over = this.toggle.checked;
    for (let y = 0, out = 0; y < up; y++) {
      const base = this.voxel[axis] * strides[axis] + (up - 1 - y) * strides[v];
      for (let x = 0; x < across; x++, out += 4) {
        const at = base + (across - 1 - x) * strides[u];
        const grey = Math.min(255, Math.max(0, (this.image[at] - low) * gain));
        const ink = over && this.labels[at] ? this.paintOf(this.labels[at]) : null;
        for (let c = 0; c < 3; c++) {
          paint.data[out + c] = ink ? grey * (1 - ink[3]) + ink[c] * ink[3] : grey;
        }
        paint.data[out + 3] = 255;
      }
    }
    pen.putImageData(paint, 0, 0);
    this.decorate(view);
  }

  // Where the centre of a voxel lies on a plane's canvas, in its own pixels.
  placeOf({ plane, canvas }, voxel) {
    return [(1 - (voxel[plane.u] + 0.5) / this.shape[plane.u]) * canvas.width,
            (1 - (voxel[plane.v] + 0.5) / this.shape[plane.v]) * canvas.height];
  }

  decorate(view) {
    const { plane: { name, axis, letters }, canvas } = view;
    const pen = canvas.getContext("2d");
    const [wide, tall] = [canvas.width, canvas.height];
    pen.imageSmoothingEnabled = false;
    pen.drawImage(view.slice, 0, 0, wide, tall);
    const [x, y] = this.placeOf(view, this.voxel);
    pen.strokeStyle = "rgba(255, 213, 74, 0.8)";
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, 0); pen.lineTo(x, tall); pen.moveTo(0, y); pen.lineTo(wide, y);
    pen.stroke();
    this.marks(view, pen);
    const size = Math.round(12 * this.ratio);
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

  // Index, place in space and value under the cross-hair.
  here() {
    const affine = this.model.get("affine");
    const mm = [0, 1, 2].map((row) => {
      const [a, b, c, shift] = affine.slice(4 * row, 4 * row + 4);
      return (a * this.voxel[0] + b * this.voxel[1] + c * this.voxel[2] + shift).toFixed(1);
    });
    const value = Math.round(this.image[this.offset(this.voxel)] * 10) / 10;
    return `voxel (${this.voxel.join(", ")})   RAS (${mm.join(", ")}) mm   ` +
      `${value} ${this.model.get("unit")}`;
  }
}

// The module's default export for a kind of view.
function serve(View) {
  return {
    render({ model, el }) {
      const view = new View(model, el);
      const receive = (content, buffers) => view.receive(content, buffers);
      const follow = () => view.follow(model.get("voxel"));
      model.on("msg:custom", receive);
      model.on("change:voxel", follow);
      view.start();
      return () => {
        model.off("msg:custom", receive);
        model.off("change:voxel", follow);
        view.stop();
      };
    },
  };
}
