// Prompts by mouse and keyboard, and the masks that answer them. Follows planes.js in one module.
//
// Masks arrive as bits of the changed box alone. `labels` holds one bit a structure, so structures
// may overlap; the one that is worked on lies on top.

const FILL = 0.4;
const REST_FILL = 0.25;
const TICK_MS = 250;
const HELP = "left click: inside; right or shift click: outside; drag: box; ctrl or middle drag: " +
  "cross-hair; wheel or page keys: scroll; arrow keys: cross-hair; enter: inside, minus or shift " +
  "enter: outside; b twice: corners of a box; ctrl z, ctrl y: undo, redo; 1 to 9: structure";

class Clicker extends Planes {
  constructor(model, el) {
    super(model, el, "fmtutor-clicker", HELP);
    this.view = Math.random().toString(36).slice(2); // several views may share one model
    this.asked = 0;
    this.waiting = new Map();
    this.structures = [];
    this.prompts = [];
    this.active = "";
    this.paints = new Map();
    this.error = this.note = "";
    this.seconds = null;
    this.root.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input:not([type=range]), select");
      if (typing || !this.history(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    makePromptControls(this);
    this.tick = setInterval(() => this.tellStatus(), TICK_MS);
  }

  start() { this.ask("ready"); }
  stop() { clearInterval(this.tick); }

  // Ask the kernel; it answers with "working" at once and with "done" in the end.
  ask(kind, details) {
    const id = `${this.view}-${++this.asked}`;
    const now = performance.now();
    this.waiting.set(id, { kind, sent: now, since: now, heard: false });
    this.error = "";
    try {
      this.model.send({ kind, id, ...details });
    } catch (error) {
      console.warn("fmtutor: the kernel cannot be reached", error);
    }
    this.tellStatus();
  }

  receive(content, buffers) {
    if (content.kind === "volume") {
      this.image = typed(buffers[0], content.image);
      this.labels = new Uint8Array(this.image.length);
    } else if (content.kind === "change") {
      this.change(content, buffers);
    } else if (content.kind === "working" && this.waiting.has(content.id)) {
      Object.assign(this.waiting.get(content.id), { heard: true, since: performance.now() });
    } else if (content.kind === "done" && this.waiting.has(content.id)) {
      this.done(content);
    }
    this.tellStatus();
  }

  done({ id, error, note }) {
    if (this.waiting.get(id).kind === "ready" && this.image) this.root.dataset.ready = "true";
    this.waiting.delete(id);
    Object.assign(this, { error, note });
    this.root.dataset.answered = this.asked - this.waiting.size;
  }

  change(content, buffers) {
    this.structures = content.structures.map(([number, name, hex, voxels, ml]) =>
      ({ number, name, hex, voxels, ml, rgb: rgbOf(hex), bit: 2 ** (number - 1) }));
    this.prompts = content.prompts;
    this.note = content.note;
    this.seconds = content.seconds;
    const choosing = [...this.waiting.values()].some(({ kind }) => kind === "choose");
    if (!choosing) this.active = content.active;
    if (content.patch && this.image) this.apply(content.patch, buffers[0]);
    this.repaint();
    const asked = [...this.waiting.values()].find(({ kind }) => kind === "click" || kind === "box");
    if (!content.patch || !asked) return;
    requestAnimationFrame(() => { this.root.dataset.repaintMs = performance.now() - asked.sent; });
  }

  apply({ number, low, high }, bits) {
    while (number > 8 * this.labels.BYTES_PER_ELEMENT) {
      const Wider = { 1: Uint16Array, 2: Uint32Array }[this.labels.BYTES_PER_ELEMENT];
      this.labels = Wider.from(this.labels);
    }
    const bit = 2 ** (number - 1);
    let at = 0;
    for (let h = low[0]; h < high[0]; h++) {
      for (let w = low[1]; w < high[1]; w++) {
        const row = this.offset([h, w, 0]);
        for (let d = low[2]; d < high[2]; d++, at++) {
          const on = (bits.getUint8(at >> 3) >> (7 - (at & 7))) & 1;
          this.labels[row + d] = on ? this.labels[row + d] | bit : this.labels[row + d] & ~bit;
        }
      }
    }
  }

  repaint() {
    this.paints.clear();
    tellStructures(this);
    this.draw();
  }

  paintOf(label) {
    if (!this.paints.has(label)) {
      const here = this.structures.filter(({ bit }) => label & bit);
      const top = here.find(({ name }) => name === this.active) || here[0];
      const fill = top && top.name === this.active ? FILL : REST_FILL;
      this.paints.set(label, top ? [...top.rgb, fill] : null);
    }
    return this.paints.get(label);
  }

  choose(name) {
    if (!name || name === this.active) return;
    this.active = name;
    this.repaint();
    this.ask("choose", { name });
  }

  click(voxel, positive) {
    this.ask("click", { voxel, positive, structure: this.active });
  }

  // A box between two corners; a flat one reaches some slices to both sides.
  box(one, other, axis) {
    const low = one.map((part, a) => Math.min(part, other[a]));
    const high = one.map((part, a) => Math.max(part, other[a]));
    const reach = Math.max(0, Math.round(Number(this.depth.value) || 0));
    if (axis !== undefined) {
      low[axis] = Math.max(0, low[axis] - reach);
      high[axis] = Math.min(this.shape[axis] - 1, high[axis] + reach);
    }
    this.ask("box", { low, high, structure: this.active });
  }

  dragged(start, voxel) {
    if (start.button === "middle" || start.ctrl) this.moveTo(voxel);
    else if (start.button === "left") {
      this.rubber = [start.voxel, voxel];
      this.draw();
    }
  }

  dropped(start, voxel, { plane }) {
    if (!this.rubber) return;
    this.rubber = null;
    this.draw();
    this.box(start.voxel, voxel, plane.axis);
  }

  clicked({ button, shift, ctrl }, voxel) {
    this.moveTo(voxel);
    if (button === "middle" || ctrl) return;
    this.click(voxel, button === "left" && !shift);
  }

  history(event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return false;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return false;
    this.ask(key === "y" || event.shiftKey ? "redo" : "undo");
    return true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "Enter") this.click([...this.voxel], !event.shiftKey);
    else if (event.key === "-") this.click([...this.voxel], false);
    else if (event.key === "b") this.keyBox();
    else if (event.key === "Escape" && (this.corner || this.rubber)) this.dropBox();
    else if (/^[1-9]$/.test(event.key)) this.choose(this.structures[event.key - 1]?.name);
    else return false;
    return true;
  }

  keyBox() {
    if (this.corner) this.box(this.corner, this.voxel);
    this.corner = this.corner ? null : [...this.voxel];
    this.draw();
  }

  dropBox() {
    this.corner = this.rubber = null;
    for (const view of this.views) view.pressed = null;
    this.draw();
  }

  marks(view, pen) {
    for (const [number, kind, ...where] of this.prompts) {
      const { hex, name } = this.structures[number - 1];
      pen.globalAlpha = name === this.active ? 1 : 0.5;
      if (kind === "box") drawBox(this, view, pen, ...where, hex);
      else drawPoint(this, view, pen, ...where, hex);
    }
    pen.globalAlpha = 1;
    const growing = this.rubber || (this.corner && [this.corner, this.voxel]);
    if (growing) drawBox(this, view, pen, ...growing, "#ffffff");
  }

  tell() {
    const label = this.labels[this.offset(this.voxel)];
    const names = this.structures.filter(({ bit }) => label & bit).map(({ name }) => name);
    this.readout.textContent = `${this.here()}   ${names.join(" + ").replaceAll("_", " ") || "no mask"}`;
  }

  tellStatus() {
    const text = statusOf(this);
    this.root.dataset.waiting = this.waiting.size;
    if (this.status.textContent !== text) this.status.textContent = text; // read aloud once
  }
}

export default serve(Clicker);
